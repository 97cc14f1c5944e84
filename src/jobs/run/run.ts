import PQueue from 'p-queue';
import { v7 as uuid } from 'uuid';
import type { Clock } from '../../resilience/clock.ts';
import { UsageError } from '../../resilience/failure.ts';
import { EventLoopDelay } from '../../resilience/event-loop-delay.ts';
import { TaskMetrics } from '../../resilience/task-metrics.ts';
import type { Log } from '../../observe/log.ts';
import type { Report } from '../../report/schema.ts';
import { DatabaseError, DatabaseGoneError, type Database } from '../../sinks/postgres/postgres.ts';
import { inspectTarget, prepareTarget, type TargetTable } from '../../sinks/target/target-table.ts';
import { requireLoadable } from '../../sinks/target/try-load.ts';
import { Api, type ApiHooks } from '../../sources/api/api.ts';
import { restLine } from '../../sources/api/api-rests-error.ts';
import { Admission } from '../admission/admission.ts';
import { batchedLookups } from '../enrich/batched-lookup.ts';
import { nextTimeOfDay } from '../business-date.ts';
import { spareMs } from '../forecast/forecast.ts';
import { closeRun } from './close-run.ts';
import { closedNight, type NothingToDo } from './closed-night.ts';
import { sweep } from '../../ledger/forget.ts';
import type { Job } from '../job.ts';
import {
  createInstance,
  findInstance,
  hasLoadedRows,
  readInstance,
  reopenInstance,
  type Instance,
} from '../../ledger/instance.ts';
import {
  abandonRun,
  latestRunOf,
  startRun,
  takeOver,
  type RunMode,
  type RunRow,
  type Trigger,
} from '../../ledger/run.ts';
import { takeLease, underLease, type Lease } from '../../ledger/lease.ts';
import { hasRowsToLoad, requireNewest, type NewerNight } from './newer-night.ts';
import { persist } from './persist.ts';
import { unfinishedChunks, type WorkSelection } from '../plan/list-contracts.ts';
import { plannedWith, requireLatestPlan, requireSameTarget } from '../plan/stored-plan.ts';
import { keepQuotas } from '../quota-ledger.ts';
import { FailedAlone } from '../enrich/repeated-failure.ts';
import { restWhileAway } from './rest-while-away.ts';
import { newTally, type RunContext } from './run-context.ts';
import { startTransform, type RowTransform } from '../enrich/transform.ts';
import { requireSameLayout } from '../load/staging.ts';
import { SharedLookups } from '../enrich/shared-lookups.ts';
import { countHeldBack, readSwitchPace } from '../forecast/switch-forecast.ts';
import { switchOver } from '../load/switch-over.ts';
import { work } from './work.ts';
import { workWhileResting } from '../admission/work-while-resting.ts';

export interface RunOptions {
  database: Database;
  trigger: Trigger;
  ifRunning: 'fail' | 'wait';
  version: string;
  log: Log;
  clock: Clock;
  /** Milliseconds for which a database that went away is waited for. */
  databaseWaitMs: number;
  /** Stops admission; what is in flight is finished. Its reason is a StopReason. */
  stopping: AbortSignal;
  /** Ends everything at once. */
  signal: AbortSignal;
  /** When the run must have ended, in place of the job's own `finishBy`. */
  finishBy?: Date;
  /** Load an older business date although rows of a newer one stand in the target. */
  overNewer?: boolean;
  /** Called once the run is under way, for the progress display. */
  onStart?: (context: RunContext) => void;
  /** Called as each contract's fetching ends. */
  onContract?: () => void;
}

/** A report, or the news that there was nothing to do. */
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
    // Only of the target that holds the night's rows can it be said that it has them.
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
  const instance = anew
    ? await underLease(database, { job: job.name, token: lease.token }, async (client) =>
        createInstance(client, { ...plannedWith(job), businessDate, purpose }),
      )
    : found;
  const continues = anew ? undefined : await latestRunOf(database, instance.id);
  const mode = o.dryRun ? 'dry-run' : continues ? 'continue' : 'normal';
  const run = { id, job, instance, mode, continues, lease, target, transform, overNewer, selection: {} } as const;
  return { report: await execute(run, o) };
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
    (await unfinishedChunks({ database, instance: instance.id }, of)).length > 0;
  // Without a chunk left and yet not complete: the last run died before it could close the instance.
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

/** What was planned, and what of it is held back, fits only the job file it was planned with. */
async function requireSamePlan(database: Database, o: { instance: Instance; job: Job }): Promise<void> {
  requireSameTarget(o.instance, o.job);
  await requireSameLayout(database, { instance: o.instance.id, job: o.job });
}

const leaseFor = async (job: Job, run: string, o: RunOptions): Promise<Lease> =>
  takeLease({
    job: job.name,
    run,
    ...o,
    signal: AbortSignal.any([o.signal, o.stopping]),
    onWait: (holder) => o.log.info(`waiting for another run of ${job.name} (${holder})`),
  });

interface RunPlan {
  id: string;
  job: Job;
  instance: Instance;
  mode: RunMode;
  continues: RunRow | undefined;
  lease: Lease;
  target: TargetTable;
  transform: RowTransform | undefined;
  overNewer: NewerNight | null;
  selection: WorkSelection;
}

async function execute(run: RunPlan, o: RunOptions & { limit?: number }): Promise<Report> {
  const { database, trigger, version } = o;
  const { job, lease } = run;
  const instance = run.instance.id;
  // Told to stop before anything has begun: then there is no run to report.
  o.stopping.throwIfAborted();
  const { crashed } = await underLease(database, { job: job.name, token: lease.token }, async (client) => {
    await startRun(client, {
      ...run,
      instance,
      trigger,
      version,
      jobFile: job.file.path,
      configSha256: job.file.sha256,
    });
    await reopenInstance(client, instance);
    return takeOver(client, { job: job.name, instance, run: run.id, token: lease.token });
  });
  if (crashed > 0) o.log.warn({ crashed }, 'an earlier run ended without a word; its unfinished chunks are taken over');
  let discarded = run.mode === 'dry-run';
  try {
    return await conduct(run, o);
  } catch (error) {
    discarded ||= error instanceof UsageError;
    const reason = error instanceof Error ? error.message : String(error);
    // Where the ledger cannot be reached, the next run finds this one crashed.
    await abandonRun(database, { run: run.id, reason }).catch(() => undefined);
    throw error;
  } finally {
    // Leaves an instance alone that is still there. What a kill keeps from being swept, prune sweeps.
    if (discarded) await sweep(database, instance).catch(() => undefined);
  }
}

async function conduct(run: RunPlan, o: RunOptions & { limit?: number }): Promise<Report> {
  const { job, instance, lease } = run;
  const { database, clock, log } = o;
  const dryRun = run.mode === 'dry-run';
  const broken = new AbortController();
  const stop = new AbortController();
  const signal = AbortSignal.any([o.signal, lease.lost, broken.signal]);
  const stopping = AbortSignal.any([o.stopping, stop.signal, signal]);
  const finishBy = o.finishBy ?? deadlineOf(job, clock);
  const deadlines = finishBy && deadlinesFor(finishBy, clock);

  await using stack = new AsyncDisposableStack();
  const hooks: ApiHooks = {
    onRetry: (info) => log.debug(info, 'request is repeated'),
    onRest: (rest) => log.warn(rest, restLine(rest)),
    onLowered: (info) => log.warn(info, 'the API announces a lower limit than the job file, and is asked no faster'),
  };
  const apis = new Map(
    Object.values(job.apis).map((options) => [options.name, stack.use(new Api(options, { clock, ...hooks }))]),
  );
  const quotas = stack.use(await keepQuotas({ apis: apis.values(), database, clock, log }));
  const shared = new SharedLookups();
  const workers = contractsAtOnce(job);
  const contracts = new PQueue({ concurrency: workers });
  const loads = new PQueue({ concurrency: 2 });
  const tally = newTally();
  const { businessDate } = instance;
  const admission = new Admission({
    job,
    businessDate,
    finishBy,
    deadline: deadlines?.forecast,
    clock,
    apis,
    contracts,
    loads,
    tally,
    switchOver:
      job.commit === 'run' && !dryRun && finishBy
        ? await persist(async () => switchAhead(run, o), { clock, log, signal, databaseWaitMs: o.databaseWaitMs })
        : undefined,
  });
  const context: RunContext = {
    job,
    businessDate,
    instance: instance.id,
    run: run.id,
    token: lease.token,
    dryRun,
    database,
    apis,
    quotas,
    log,
    clock,
    databaseWaitMs: o.databaseWaitMs,
    signal,
    stopping,
    failedAlone: new FailedAlone(),
    bounds: deadlines ? admission.boundsUntil(deadlines.requests, signal) : { signal },
    finishBy,
    admission,
    plan: { lastChunk: 0, cut: [], worked: new Set() },
    tally,
    metrics: new TaskMetrics({ clock }),
    eventLoop: stack.use(new EventLoopDelay()),
    onContract: o.onContract ?? (() => undefined),
    target: run.target,
    shared,
    batched: batchedLookups(job, { apis, shared }),
    transform: run.transform,
    contracts,
    workers,
    loads,
  };
  stack.use(workWhileResting(context));
  const stopWaiting = (): void => apis.forEach((api) => api.stopWaiting());
  o.stopping.addEventListener('abort', stopWaiting, { once: true });
  stack.defer(() => o.stopping.removeEventListener('abort', stopWaiting));
  const resting = stack.use(restWhileAway(context, lease));
  o.onStart?.(context);
  const started = clock.now();
  const outcome = await work(context, {
    selection: run.selection,
    listing: instance.status === 'planning',
    limit: o.limit,
    interrupted: AbortSignal.any([signal, o.stopping]),
    broken,
    stop,
  });
  context.tally.phase = 'closing';
  if (!outcome.error && !outcome.listFailure) Object.assign(outcome, await attemptSwitch(context));
  // From here on nothing is fetched, and the report is written however long the database is away.
  resting[Symbol.dispose]();
  const end = {
    ...outcome,
    planned: instance.status !== 'planning' || run.mode === 'continue',
    version: o.version,
    overNewer: run.overNewer,
    finishBy,
    workMs: clock.now() - started,
    chunks: run.selection.chunks,
    stopReason: o.stopping.aborted ? o.stopping.reason : stop.signal.aborted ? stop.signal.reason : undefined,
  };
  try {
    // What a rehearsal forgets at its end cannot be closed again.
    const again = outcome.error === undefined && !dryRun;
    // Whoever is told to stop has a report to write: only a lost lease keeps a run from being closed.
    const closing = { ...context, signal: lease.lost };
    return await (again ? persist(async () => closeRun(context, end), closing) : closeRun(context, end));
  } catch (error) {
    // Its loss cuts the connections, and is the news.
    lease.lost.throwIfAborted();
    // A database that ended the run mostly keeps it from being closed as well: then that is the news.
    throw outcome.error instanceof DatabaseGoneError && error instanceof DatabaseError ? outcome.error : error;
  }
}

/** Rows held back so far, and how long each took into the target last; undefined before the first. */
async function switchAhead({ job, instance }: RunPlan, { database }: RunOptions) {
  const heldBack = await countHeldBack(database, instance.id);
  return { heldBack, msPerRow: (await readSwitchPace(database, job.name))?.msPerRow };
}

/** What kept the rows held back out of the target: contracts that failed, or something that broke. */
async function attemptSwitch(context: RunContext): Promise<{ heldBack?: string | undefined; error?: unknown }> {
  try {
    return { heldBack: await switchOver(context) };
  } catch (error) {
    return { error: context.signal.aborted ? context.signal.reason : error };
  }
}

const deadlineOf = ({ finishBy, timezone }: Job, clock: Clock): Date | null =>
  finishBy === undefined ? null : nextTimeOfDay(finishBy, { timezone, now: new Date(clock.wallNow()) });

/**
 * Monotonic: until when requests may take, for then come the controls and the report; and until when what is admitted
 * has to have ended by the forecast, which may be wrong by as much.
 */
function deadlinesFor(finishBy: Date, clock: Clock): { requests: number; forecast: number } {
  const left = finishBy.getTime() - clock.wallNow();
  const spare = spareMs(left);
  const end = clock.now() + left;
  return { requests: end - spare, forecast: end - 2 * spare };
}

/** Twice the requests in flight, so that contracts that wait to repeat a request do not leave the slots empty. */
export const contractsAtOnce = ({ lookups, apis }: Pick<Job, 'lookups' | 'apis'>): number =>
  Math.max(8, 2 * lookups.reduce((sum, { api }) => sum + apis[api]!.limits.concurrency, 0));

const transformFor = async (job: Job, stack: AsyncDisposableStack): Promise<RowTransform | undefined> =>
  job.transform && stack.use(await startTransform(job.transform));

/** A target made anew would hold what is left of the plan and nothing of what was loaded before. Throws UsageError. */
async function requireTargetKept(job: Job, o: { database: Database; instance: Instance }): Promise<void> {
  const { exists } = await o.database.withTransaction(async (client) => inspectTarget(client, job.load));
  if (exists || !(await hasLoadedRows(o.database, o.instance.id))) return;
  const { schema, name } = job.load.table;
  throw new UsageError(
    `${schema}.${name} is gone, and with it the rows that were loaded for ${o.instance.businessDate}; restore the table, or plan the date anew with run --again`,
    { code: 'TARGET_GONE' },
  );
}

/** The target, created when missing; a dry run creates it only to look at it. */
async function targetFor(
  job: Job,
  { database, dryRun }: { database: Database; dryRun: boolean },
): Promise<TargetTable> {
  return database.withTransaction(async (client) => {
    await client.query('SAVEPOINT target');
    const target = await prepareTarget(client, job.load);
    await requireLoadable(client, target);
    if (dryRun) await client.query('ROLLBACK TO SAVEPOINT target');
    return target;
  });
}
