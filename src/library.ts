/** Runs for programs: the same as `nightfill run` and `rerun`, with the defaults of the command line. */
import { businessDateIn } from './jobs/business-date.ts';
import type { Job } from './jobs/job.ts';
import { findRun } from './ledger/find-run.ts';
import { sessionName, thisProcess } from './ledger/process-identity.ts';
import type * as options from './jobs/run/prepared-run.ts';
import * as jobs from './jobs/run/run.ts';
import { StopReason } from './jobs/run/stop-reason.ts';
import { createLog } from './observe/log.ts';
import { systemClock } from './resilience/clock.ts';
import { UsageError } from './resilience/failure.ts';
import { resolveConnection } from './sinks/postgres/choose-database.ts';
import { migrate } from './ledger/migrations.ts';
import { Database } from './sinks/postgres/postgres.ts';
import { version } from './version.ts';

/** Everything but the database has a default. Durations in milliseconds. */
export interface RunOptions extends Pick<options.RunOptions, 'database' | 'finishBy'> {
  /** What the report says started the run. Default: `manual`. */
  trigger?: options.RunOptions['trigger'];
  /** When another run of the job is at work: JobRunningError (`fail`, the default), or wait for it. */
  ifRunning?: options.RunOptions['ifRunning'];
  /** Default: silent. `createLog` makes one that writes JSON lines. */
  log?: options.RunOptions['log'];
  /** How long a database that went away is waited for. Default: 2 minutes. */
  databaseWaitMs?: number;
  /** Drains: nothing more is begun, what is in flight is finished and loaded, the report says "stopped". */
  stopping?: AbortSignal;
  /** Ends everything at once. What is committed stays, and the next run goes on from there. */
  signal?: AbortSignal;
}

export interface RunJobOptions extends RunOptions {
  /** `YYYY-MM-DD`. Default: today in the job's time zone. */
  businessDate?: string;
  /** Only the first contracts: a sample, apart from the night. */
  limit?: number;
  /** Do everything and take the rows back. */
  dryRun?: boolean;
  /** Plan the date anew although it is complete. */
  again?: boolean;
}

export interface RerunJobOptions extends RunOptions {
  /** The id of one of the job's runs, or the beginning of one. Default: `latest`. */
  run?: string;
  /** Only these chunks. */
  chunks?: readonly number[];
  /** Also the contracts of those chunks that were loaded. */
  wholeChunks?: boolean;
  /** Only failures that time may mend. */
  onlyTransient?: boolean;
}

/** Runs a job for a business date: plans it, or continues the instance that an earlier run left unfinished. */
export async function runJob(job: Job, options: RunJobOptions): Promise<jobs.RunResult> {
  const { businessDate = businessDateIn(job.timezone, new Date()), limit, dryRun = false, again = false } = options;
  using stopping = withStopReason(options.stopping);
  return await jobs.runJob(job, {
    ...completed(options, stopping.signal),
    businessDate,
    ...(limit !== undefined && { limit }),
    dryRun,
    again,
  });
}

/** Fetches and loads again only what failed or never started of an earlier run's date, from its frozen plan. */
export async function rerunJob(job: Job, options: RerunJobOptions): Promise<jobs.RunResult> {
  const { database, run = 'latest', chunks, wholeChunks = false, onlyTransient = false } = options;
  const of = await findRun(database, { run, job: job.name });
  using stopping = withStopReason(options.stopping);
  return await jobs.rerunJob(job, {
    ...completed(options, stopping.signal),
    of,
    selection: { ...(chunks && { chunks }), wholeChunks, onlyTransient },
  });
}

/**
 * The database at `postgres://user@host:5432/name`, with the `nightfill` schema created or upgraded unless `migrate` is
 * false. libpq's PG* variables complete the address. Close it with `await using`, or call `Symbol.asyncDispose`.
 */
export async function openDatabase(url: string, o: { migrate?: boolean } = {}): Promise<Database> {
  const connection = resolveConnection({ databaseUrl: url, environment: process.env });
  if (connection.kind === 'embedded')
    throw new UsageError('the address of a PostgreSQL database is expected, such as postgres://user@host:5432/name', {
      code: 'DATABASE_URL_INVALID',
    });
  const { config, description } = connection;
  await using stack = new AsyncDisposableStack();
  // Named after the process: when it dies, the next run can tell which transactions were its own.
  const database = stack.use(await Database.open({ config, description, applicationName: sessionName(thisProcess()) }));
  if (o.migrate ?? true) await migrate(database);
  stack.move();
  return database;
}

function completed(o: RunOptions, stopping: AbortSignal): options.RunOptions {
  o.database.requireWritable();
  return {
    database: o.database,
    trigger: o.trigger ?? 'manual',
    ifRunning: o.ifRunning ?? 'fail',
    version,
    log: o.log ?? createLog({ level: 'silent', secrets: [] }),
    clock: systemClock,
    databaseWaitMs: o.databaseWaitMs ?? 120_000,
    stopping,
    signal: o.signal ?? new AbortController().signal,
    ...(o.finishBy && { finishBy: o.finishBy }),
  };
}

/** Aborts with a StopReason when `stopping` aborts with whatever reason: by that the report knows that it was meant. */
function withStopReason(stopping: AbortSignal | undefined): Disposable & { signal: AbortSignal } {
  const controller = new AbortController();
  const stop = (): void => {
    const reason: unknown = stopping?.reason;
    const why = reason instanceof Error ? reason.message : String(reason);
    controller.abort(reason instanceof StopReason ? reason : new StopReason('SIGNAL', `stopped: ${why}`));
  };
  if (stopping?.aborted) stop();
  stopping?.addEventListener('abort', stop, { once: true });
  return { signal: controller.signal, [Symbol.dispose]: () => stopping?.removeEventListener('abort', stop) };
}
