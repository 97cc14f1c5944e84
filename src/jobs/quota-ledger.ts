import type { Log } from '../observe/log.ts';
import type { Clock } from '../resilience/clock.ts';
import type { Quota } from '../resilience/quota.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import type { Api } from '../sources/api/api.ts';

/** For as long a process that is killed may have sent requests that nobody else learns of. */
const sharedEveryMs = 2_000;

export interface KeptQuotas extends AsyncDisposable {
  /** Adds what was sent to what others have sent, and learns of theirs. A database that is away for a moment is no error. */
  share(): Promise<void>;
}

/**
 * Keeps the APIs' quotas together with those of other runs, before and after this one: in the database, by the API's
 * origin and day. Disposing adds what is not there yet.
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
    for (const { origin, quota } of kept) await shareOne(quota!, { origin, database });
  };
  await shareAll();
  let sharing = Promise.resolve();
  const share = async (): Promise<void> => {
    // In turn, and what could not be added is added the next time.
    sharing = sharing.then(shareAll).catch(() => undefined);
    await sharing;
  };
  const stop = new AbortController();
  const keep = async (): Promise<void> => {
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
          'the requests of the last seconds could not be added to what the quota has used',
        ),
      );
      for (const { name, quota } of kept)
        if (!quota!.figures)
          log.warn({ api: name }, 'no answer had the header that limits.quota names, so no quota was kept');
    },
  };
}

async function shareOne(quota: Quota, { origin, database }: { origin: string; database: Queryable }): Promise<void> {
  await quota.share(async ({ period, requests, left, of }) => {
    const { rows } = await database.query<{ requests: number; left: number | null; of: number | null }>(
      // LEAST and GREATEST pass over NULL.
      `INSERT INTO nightfill.quota_use AS known (origin, day, requests, left_now, left_of)
       VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT (origin, day) DO UPDATE SET
         requests = known.requests + excluded.requests,
         left_now = least(known.left_now, excluded.left_now),
         left_of = greatest(known.left_of, excluded.left_of)
       RETURNING requests::float8 AS requests, left_now::float8 AS left, left_of::float8 AS of`,
      [origin, period, requests, left ?? null, of ?? null],
    );
    const sum = rows[0]!;
    return { period, requests: sum.requests, left: sum.left ?? undefined, of: sum.of ?? undefined };
  });
}
