import { v7 as uuid } from 'uuid';
import { readInstance, createInstance, findInstance, type Instance, type Purpose } from '../../ledger/instance.ts';
import { isHeldBackOtherwise } from '../../ledger/held-back.ts';
import { takeLease, underLease, type Lease } from '../../ledger/lease.ts';
import { hasRowsToLoad } from '../../ledger/newer-night.ts';
import { unfinishedChunks } from '../../ledger/planned-work.ts';
import type { WorkSelection } from '../../ledger/planned-contract.ts';
import { latestRunOf, type RunRow } from '../../ledger/run.ts';
import type { Report } from '../../report/schema.ts';
import { UsageError } from '../../resilience/failure.ts';
import type { Database } from '../../sinks/postgres/postgres.ts';
import { startTransform, type RowTransform } from '../enrich/transform.ts';
import type { Job } from '../job.ts';
import { plannedWith, requireLatestPlan, requireSameTarget } from '../plan/stored-plan.ts';
import { closedNight, type NothingToDo } from './closed-night.ts';
import { execute } from './execute.ts';
import { withDatabaseRetry } from '../../ledger/with-database-retry.ts';
import { requireNewest } from './newer-night.ts';
import { untilStopped, type RunOptions } from './prepared-run.ts';
import { requireTargetKept, targetFor } from './target.ts';

/** A report, or that there was nothing to do. */
export type RunResult = { report: Report } | NothingToDo;

/** Runs a job for a business date: plans it, or continues the instance that an earlier run left unfinished. */
export async function runJob(
  job: Job,
  o: RunOptions & { businessDate: string; limit?: number; dryRun?: boolean; again?: boolean },
): Promise<RunResult> {
  const { database, businessDate } = o;
  const purpose = o.dryRun ? 'dry-run' : o.limit === undefined ? 'night' : 'sample';
  const id = uuid();
  await using lease = await leaseFor(job, id, o);
  const found = await findInstance(database, { job: job.name, businessDate, purpose });
  const anew = !found || o.again || o.dryRun || (purpose === 'sample' && found.status === 'complete');
  if (!anew && found.status === 'complete') {
    // The night is complete only while its rows are in the target that the job file names.
    await requireSamePlan(database, { instance: found, job });
    await requireTargetKept(job, { database, instance: found });
    return await closedNight(database, {
      instance: found.id,
      nothingToDo: `${job.name} is complete for ${businessDate}; nothing to do (run --again plans it anew)`,
    });
  }
  const loads = !o.dryRun && (anew || (await hasRowsToLoad(database, found)));
  const overNewer = loads
    ? await requireNewest(database, { job, businessDate, overNewer: o.overNewer ?? false })
    : null;
  if (!anew) await requireSamePlan(database, { instance: found, job });
  await using stack = new AsyncDisposableStack();
  const transform = await transformFor(job, stack);
  if (!anew) await requireTargetKept(job, { database, instance: found });
  const target = await targetFor(job, { database, dryRun: o.dryRun ?? false });
  const instance = anew ? await beginPlan(job, { ...o, purpose, lease }) : found;
  const continues = anew ? undefined : await latestRunOf(database, instance.id);
  const mode = o.dryRun ? 'dry-run' : continues ? 'continue' : 'normal';
  const run = { id, job, instance, mode, continues, lease, target, transform, overNewer, selection: {} } as const;
  return { report: await execute(run, o) };
}

/** A new instance, found again when the answer to its COMMIT was lost. */
async function beginPlan(
  job: Job,
  { lease, ...o }: RunOptions & { businessDate: string; purpose: Purpose; lease: Lease },
): Promise<Instance> {
  const instance = { id: uuid(), ...plannedWith(job), businessDate: o.businessDate, purpose: o.purpose };
  return withDatabaseRetry(
    async () =>
      underLease(o.database, { job: job.name, token: lease.token }, async (client) => createInstance(client, instance)),
    { ...o, signal: untilStopped(o, lease) },
  );
}

/** Fetches and loads again what failed or never started of an earlier run's instance, from its frozen plan. */
export async function rerunJob(job: Job, o: RunOptions & { of: RunRow; selection: WorkSelection }): Promise<RunResult> {
  const { database, selection } = o;
  const id = uuid();
  await using lease = await leaseFor(job, id, o);
  const instance = await readInstance(database, o.of.instance);
  await requireLatestPlan(database, instance, o.of);
  await requireSamePlan(database, { instance, job });
  if (instance.status === 'planning')
    throw new UsageError(
      `the listing of ${job.name} for ${instance.businessDate} was cut off, so there is no whole plan to rerun; nightfill run continues it`,
      { code: 'NO_PLAN' },
    );
  await requireTargetKept(job, { database, instance });
  const unfinished = async (of: WorkSelection): Promise<boolean> =>
    (await unfinishedChunks(database, instance.id, of)).length > 0;
  // No chunk is left but the instance is not complete: the last run ended before it could close it.
  const unclosed = instance.status !== 'complete' && !(await unfinished({}));
  if (!unclosed && !(await unfinished(selection)))
    return await closedNight(database, {
      instance: instance.id,
      nothingToDo: `nothing failed and nothing is left ${selection.chunks ? `in chunk ${selection.chunks.join(', ')} ` : ''}of ${job.name} for ${instance.businessDate}; nothing to do`,
    });
  const { businessDate } = instance;
  const loads = selection.wholeChunks || (await hasRowsToLoad(database, instance));
  const overNewer = loads
    ? await requireNewest(database, { job, businessDate, overNewer: o.overNewer ?? false })
    : null;
  await using stack = new AsyncDisposableStack();
  const transform = await transformFor(job, stack);
  const target = await targetFor(job, { database, dryRun: false });
  const plan = { id, job, instance, lease, target, transform, overNewer, selection };
  return { report: await execute({ ...plan, mode: 'rerun', continues: o.of }, o) };
}

/** Throws UsageError when the plan, or its rows held back, were made with another target, key or columns. */
async function requireSamePlan(database: Database, { instance, job }: { instance: Instance; job: Job }): Promise<void> {
  requireSameTarget(instance, job);
  if (!(await isHeldBackOtherwise(database, { instance: instance.id, columns: job.load.columns }))) return;
  throw new UsageError(
    `rows of ${job.name} are held back for the switch at the end of the run, and load.columns of ${job.file.path} has changed since; put the job file back, or plan anew with run --again`,
    { code: 'TARGET_CHANGED' },
  );
}

const transformFor = async (job: Job, stack: AsyncDisposableStack): Promise<RowTransform | undefined> =>
  job.transform && stack.use(await startTransform(job.transform));

const leaseFor = async (job: Job, run: string, o: RunOptions): Promise<Lease> =>
  takeLease({
    job: job.name,
    run,
    ...o,
    signal: AbortSignal.any([o.signal, o.stopping]),
    onWait: (holder) => o.log.info(`waiting for another run of ${job.name} (${holder})`),
  });
