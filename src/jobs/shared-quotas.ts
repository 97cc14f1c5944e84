import { addQuotaUse } from '../ledger/quota-use.ts';
import type { Log } from '../observe/log.ts';
import type { Clock } from '../resilience/clock.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import type { Api } from '../sources/api/api.ts';

/** How often requests are counted in the database. A process that is killed leaves out those since its last count. */
const sharedEveryMs = 2_000;

export interface KeptQuotas extends AsyncDisposable {
  /** Adds this run's requests to those of all runs, and reads the sum. Does not throw when the database is unavailable. */
  share(): Promise<void>;
}

/**
 * Counts the requests of all runs against the APIs' quotas, in the database by the API's origin and day. Disposing adds
 * the requests that are not counted yet.
 */
export async function keepQuotas(o: {
  apis: Iterable<Api>;
  database: Queryable;
  clock: Clock;
  log: Log;
}): Promise<KeptQuotas> {
  const { database, clock, log } = o;
  const kept = [...o.apis].filter(({ quota }) => quota);
  const shareAll = async (): Promise<void> => {
    // oxlint-disable-next-line no-await-in-loop -- a connection runs one statement at a time
    for (const { origin, quota } of kept) await quota!.share(async (use) => addQuotaUse(database, { ...use, origin }));
  };
  await shareAll();
  let sharing = Promise.resolve();
  const share = async (): Promise<void> => {
    // One after the other. What could not be added is added the next time.
    sharing = sharing.then(shareAll).catch(() => undefined);
    await sharing;
  };
  const stop = new AbortController();
  const keep = async (): Promise<void> => {
    // oxlint-disable-next-line no-await-in-loop -- waits between two rounds
    while (!stop.signal.aborted) await clock.sleep(sharedEveryMs, stop.signal).then(share, () => undefined);
  };
  const keeping = kept.length > 0 ? keep() : Promise.resolve();
  return {
    share,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await keeping;
      await sharing;
      await shareAll().catch((error: unknown) =>
        log.warn(
          { reason: error instanceof Error ? error.message : String(error) },
          'the requests of the last seconds could not be counted against the quota',
        ),
      );
      for (const { name, quota } of kept)
        if (!quota!.figures)
          log.warn({ api: name }, 'no answer had the header that limits.quota names, so the quota was not checked');
    },
  };
}
