import { isReplaced, type Instance } from '../../ledger/instance.ts';
import type { RunRow } from '../../ledger/run.ts';
import { UsageError } from '../../resilience/failure.ts';
import type { Queryable } from '../../sinks/postgres/postgres.ts';
import type { Job } from '../job.ts';

/** The name of a job's target in the ledger. */
export const targetName = ({ load: { table } }: Job): string => `${table.schema}.${table.name}`;

/** The properties of a job that its instance stores. */
export const plannedWith = (
  job: Job,
): Pick<Instance, 'job' | 'target' | 'targetKey' | 'configSha256'> & { timezone: string } => ({
  job: job.name,
  timezone: job.timezone,
  target: targetName(job),
  targetKey: job.load.key,
  configSha256: job.file.sha256,
});

/** Throws UsageError when the job's target or key is not the stored plan's, because rows would be loaded elsewhere. */
export function requireSameTarget(instance: Instance, job: Job): void {
  if (instance.target === targetName(job) && instance.targetKey.join() === job.load.key.join()) return;
  throw new UsageError(
    `the plan of ${instance.job} for ${instance.businessDate} loads ${instance.target} by (${instance.targetKey.join(', ')}), and ${job.file.path} now says ${targetName(job)} by (${job.load.key.join(', ')}); put the job file back, or plan anew with run --again`,
    { code: 'TARGET_CHANGED' },
  );
}

/** Throws UsageError for a plan that `run --again` replaced, because its rows would overwrite newer ones. */
export async function requireLatestPlan(
  database: Queryable,
  { id, job, businessDate }: Instance,
  { jobFile }: Pick<RunRow, 'jobFile'>,
): Promise<void> {
  if (!(await isReplaced(database, id))) return;
  throw new UsageError(
    `run --again has planned ${job} anew for ${businessDate} since that run; nightfill run ${jobFile} --date ${businessDate} works on the new plan`,
    { code: 'PLAN_REPLACED' },
  );
}
