import type { Log } from '../observe/log.ts';
import type { Clock } from '../resilience/clock.ts';
import type { Quota, QuotaUse } from '../resilience/quota.ts';
import type { Queryable } from '../sinks/postgres.ts';
import type { Api } from '../sources/api.ts';

/** How long a process that is killed may have sent requests that nobody else learns of. */
const sharedEveryMs = 2_000;

/**
 * Keeps the APIs' quotas together with those of other runs, before and after this one: in the database, by the API's
 * origin and day. Disposing adds what is not there yet.
 */
export async function keepQuotas(o: {
  apis: Iterable<Api>;
  database: Queryable;
  clock: Clock;
  log: Log;
}): Promise<AsyncDisposable> {
  const { database, clock, log } = o;
  const kept = [...o.apis].filter(({ quota }) => quota);
  const shareAll = async (): Promise<void> => {
    for (const { origin, quota } of kept) await share(quota!, { origin, database });
  };
  await shareAll();
  const stop = new AbortController();
  const keep = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      // A database that is away for a moment costs nothing: what was not added is added the next time.
      await clock
        .sleep(sharedEveryMs, stop.signal)
        .then(shareAll)
        .catch(() => undefined);
    }
  };
  const keeping = kept.length > 0 ? keep() : Promise.resolve();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await keeping;
      for (const api of kept.filter(({ quota }) => !quota!.figures))
        log.warn({ api: api.name }, 'no answer had the header that limits.quota names, so no quota was kept');
      await shareAll().catch((error: unknown) =>
        log.warn({ error }, 'the requests of the last seconds could not be added to what the quota has used'),
      );
    },
  };
}

async function share(quota: Quota, { origin, database }: { origin: string; database: Queryable }): Promise<void> {
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
    return { period, requests: sum.requests, left: sum.left ?? undefined, of: sum.of ?? undefined } satisfies QuotaUse;
  });
}
