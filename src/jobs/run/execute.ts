import { sweep } from '../../ledger/forget.ts';
import { reopenInstance } from '../../ledger/instance.ts';
import { underLease } from '../../ledger/lease.ts';
import { abandonRun, startRun, takeOver } from '../../ledger/run.ts';
import type { Report } from '../../report/schema.ts';
import { UsageError } from '../../resilience/failure.ts';
import { DatabaseError, DatabaseGoneError } from '../../sinks/postgres/postgres.ts';
import { switchOver } from '../load/switch-over.ts';
import { closeRun, type RunEnd } from './close-run.ts';
import type { RunContext } from './run-context.ts';
import { secondChance } from './second-chance.ts';
import { start, type StartedRun } from './start.ts';
import type { PreparedRun, RunOptions } from './prepared-run.ts';
import { work, type WorkOutcome } from './work.ts';

/** Carries out a run and gives its report. */
export async function execute(run: PreparedRun, o: RunOptions & { limit?: number }): Promise<Report> {
  const { database, trigger, version } = o;
  const { job, lease } = run;
  const instance = run.instance.id;
  // A run that is told to stop before it has begun anything is no run to report.
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
    // Where the ledger cannot be reached, the next run finds that this one crashed.
    await abandonRun(database, { run: run.id, reason }).catch(() => undefined);
    throw error;
  } finally {
    // Sweeps what was discarded, not an instance that still exists. After a kill, prune sweeps.
    if (discarded) await sweep(database, instance).catch(() => undefined);
  }
}

/** Start, work, second chance, switch, close. */
async function conduct(run: PreparedRun, o: RunOptions & { limit?: number }): Promise<Report> {
  await using started = await start(run, o);
  const { context } = started;
  const { stop, progress } = context;
  o.onStart?.(context);
  const listing = run.instance.status === 'planning';
  const outcome = await work(context, { selection: run.selection, listing, limit: o.limit });
  if (!outcome.error && !stop.stopping.aborted) Object.assign(outcome, await attempt(context, secondChance));
  progress.tally.phase = 'closing';
  const ended = !outcome.error && !outcome.listFailure;
  const { value: heldBack, error = outcome.error } = ended ? await attempt(context, switchOver) : {};
  return await close(started, { run, version: o.version, outcome: { ...outcome, error, heldBack } });
}

/** What the step gives, or what broke the run in it. */
async function attempt<T>(
  context: RunContext,
  step: (context: RunContext) => Promise<T>,
): Promise<{ value?: T; error?: unknown }> {
  const { stop, admission } = context;
  try {
    return { value: await step(context) };
  } catch (error) {
    return { error: stop.signal.aborted ? stop.signal.reason : error };
  } finally {
    await admission.idle();
  }
}

/** Nothing is fetched any more, and the report is written however long the database is away. */
async function close(
  { context, endFetching, workMs, database }: StartedRun,
  {
    run,
    version,
    outcome,
  }: { run: PreparedRun; version: string; outcome: WorkOutcome & { heldBack: string | undefined } },
): Promise<Report> {
  endFetching();
  const { lost } = run.lease;
  const { ledger, stop, dryRun } = context;
  const end: RunEnd = {
    ...outcome,
    planned: run.instance.status !== 'planning' || run.mode === 'continue',
    version,
    database,
    overNewer: run.overNewer,
    workMs: workMs(),
    chunks: run.selection.chunks,
    stopReason: stop.reason,
  };
  try {
    // A run that is told to stop still writes its report: only a lost lease keeps it from being closed. What a dry run
    // discards at its end cannot be closed a second time.
    return await closeRun(context, end, ledger.with({ signal: lost, once: outcome.error !== undefined || dryRun }));
  } catch (error) {
    // Losing the lease closed the connections; throw that, not the symptom.
    lost.throwIfAborted();
    // A database that broke the run mostly keeps it from being closed as well; throw the first error.
    throw outcome.error instanceof DatabaseGoneError && error instanceof DatabaseError ? outcome.error : error;
  }
}
