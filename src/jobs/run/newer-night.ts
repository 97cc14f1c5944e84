import { UsageError } from '../../resilience/failure.ts';
import type { Queryable } from '../../sinks/postgres/postgres.ts';
import type { Job } from '../job.ts';
import { findNewerNight, type NewerNight } from '../../ledger/newer-night.ts';
import { targetName } from '../plan/stored-plan.ts';

/**
 * Older answers are not loaded over newer rows: gives the newer night that this run is to load over all the same, null
 * when there is none. Ask under the lease, so that none comes in between. Throws UsageError.
 */
export async function requireNewest(
  database: Queryable,
  o: {
    job: Job;
    businessDate: string;
    /** The user said so. */
    overNewer: boolean;
  },
): Promise<NewerNight | null> {
  const { job, businessDate } = o;
  const target = targetName(job);
  const newer = await findNewerNight(database, { job: job.name, businessDate, target });
  if (!newer || o.overNewer) return newer ?? null;
  throw new UsageError(
    `${target} holds rows that ${job.name} loaded for ${newer.businessDate} (run ${newer.runId}), and those of ${businessDate} are older: they are not loaded over them; leave the older date as it is, or say --over-newer`,
    { code: 'NEWER_NIGHT_LOADED' },
  );
}
