import { UsageError } from '../../resilience/failure.ts';
import type { Queryable } from '../../sinks/postgres/postgres.ts';
import type { Job } from '../job.ts';
import { findNewerNight, type NewerNight } from '../../ledger/newer-night.ts';
import { targetName } from '../plan/stored-plan.ts';

/**
 * Throws UsageError when the target holds rows of a newer night, unless `overNewer`; gives that night, or null when there
 * is none. Call it under the lease, so that no newer night can be loaded meanwhile.
 */
export async function requireNewest(
  database: Queryable,
  o: {
    job: Job;
    businessDate: string;
    /** The user allows loading over newer rows (`--over-newer`). */
    overNewer: boolean;
  },
): Promise<NewerNight | null> {
  const { job, businessDate } = o;
  const target = targetName(job);
  const newer = await findNewerNight(database, { job: job.name, businessDate, target });
  if (!newer || o.overNewer) return newer ?? null;
  throw new UsageError(
    `${target} holds rows that ${job.name} loaded for ${newer.businessDate} (run ${newer.runId}), and this run would replace them with older ones of ${businessDate}; leave the older date as it is, or use --over-newer`,
    { code: 'NEWER_NIGHT_LOADED' },
  );
}
