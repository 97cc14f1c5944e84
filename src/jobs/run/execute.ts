import { sweep } from '../../ledger/forget.ts';
import { reopenInstance } from '../../ledger/instance.ts';
import { underLease } from '../../ledger/lease.ts';
import { abandonRun, startRun, takeOver } from '../../ledger/run.ts';
import { withDatabaseRetry } from '../../ledger/with-database-retry.ts';
import type { Report } from '../../report/schema.ts';
import { UsageError } from '../../resilience/failure.ts';
import { DatabaseError, DatabaseGoneError } from '../../sinks/postgres/postgres.ts';
import { switchOver } from '../load/switch-over.ts';
import { closeRun, type RunEnd } from './close-run.ts';
import type { RunContext } from './run-context.ts';
import { secondChance } from './second-chance.ts';
import { start, type StartedRun } from './start.ts';
import { untilStopped, type PreparedRun, type RunOptions } from './prepared-run.ts';
import { work, type WorkOutcome } from './work.ts';

/** Carries out a run and gives its report. */
export async function execute(run: PreparedRun, o: RunOptions & { limit?: number }): Promise<Report> {
  const { database, trigger, version } = o;
  const { job, lease } = run;
  const instance = run.instance.id;
  // A run that is told to stop before it begins is not stored and has no report.
  o.stopping.throwIfAborted();
  const names = { job: job.name, instance, run: run.id, token: lease.token };
  const facts = { ...run, instance, trigger, version, jobFile: job.file.path, configSha256: job.file.sha256 };
  const { crashed } = await withDatabaseRetry(
    async () =>
      underLease(database, names, async (client) => {
        await startRun(client, facts);
        await reopenInstance(client, instance);
        return takeOver(client, names);
      }),
    { ...o, signal: untilStopped(o, lease) },
  );
  if (crashed > 0)
    o.log.warn({ crashed }, 'an earlier process ended without closing its run; its chunks are taken over');
  let discarded = run.mode === 'dry-run';
  try {
    return await conduct(run, o);
  } catch (error) {
    discarded ||= error instanceof UsageError;
    const reason = error instanceof Error ? error.message : String(error);
    // If the ledger cannot be reached, the next run marks this one as crashed.
    await abandonRun(database, { run: run.id, reason }).catch(() => undefined);
    throw error;
  } finally {
    // Deletes the rows of a discarded instance, never of one that still exists. After a kill, prune deletes them.
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
  if (!outcome.error && !stop.stopping.aborted) Object.assign(outcome, await settle(context, secondChance));
  progress.tally.phase = 'closing';
  const ended = !outcome.error && !outcome.listFailure;
  const { value: heldBack, error = outcome.error } = ended ? await settle(context, switchOver) : {};
  return await close(started, { run, version: o.version, outcome: { ...outcome, error, heldBack } });
}

/** The step's value, or the error that broke the run. */
async function settle<T>(
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

/** Ends fetching and closes the run, waiting for the database if it is away. */
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
    // Only a lost lease prevents closing; a run that is told to stop still writes its report. A dry run is closed once,
    // because closing discards its instance.
    return await closeRun(context, end, ledger.with({ signal: lost, once: outcome.error !== undefined || dryRun }));
  } catch (error) {
    // Losing the lease closed the connections; throw that, not the symptom.
    lost.throwIfAborted();
    // The fault of the database that broke the run usually prevents closing it too; throw the first error.
    throw outcome.error instanceof DatabaseGoneError && error instanceof DatabaseError ? outcome.error : error;
  }
}
