import { access, constants, readFile, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { loadJob } from '../config/load-job.ts';
import { businessDateIn, nextTimeOfDay } from '../jobs/business-date.ts';
import type { Job } from '../jobs/job.ts';
import { JobRunningError } from '../ledger/lease.ts';
import { formerWriterNote } from '../jobs/former-writer.ts';
import { keepReportPlace } from '../ledger/report-place.ts';
import type { RunOptions } from '../jobs/run/prepared-run.ts';
import { runJob, type RunResult } from '../jobs/run/run.ts';
import type { Log } from '../observe/log.ts';
import { progressMode, startLines, type Progress } from '../observe/progress.ts';
import { boundYoungGeneration } from '../observe/young-generation.ts';
import { formatReport, makeReportFolder, writeReportFile } from '../report/store.ts';
import { systemClock } from '../resilience/clock.ts';
import { UsageError } from '../resilience/failure.ts';
import type { Database } from '../sinks/postgres/postgres.ts';
import { version } from '../version.ts';
import { nextCommands, type NextCommands } from './next-commands.ts';
import { defaultDatabaseWaitMs, openDatabase, type DatabaseSelection } from './open-database.ts';
import { recordingRefusal, recordUnusableFile } from './record-refusal.ts';
import { progressSnapshot } from './progress-snapshot.ts';
import { secretsOf } from './secrets.ts';
import { commandLog } from './command-log.ts';
import { stopSignals, type StopSignals } from './stop-signals.ts';
import { controlLines, summaryLines } from './summary.ts';
import { writeJson, writeLines, type Terminal } from './terminal.ts';

export interface ExecuteOptions extends DatabaseSelection {
  report?: string;
  json?: boolean;
  ifRunning?: 'fail' | 'skip' | 'wait';
  /** Milliseconds that work in flight may take after the first signal. */
  grace?: number;
  /** `HH:MM` in the job's time zone, or a moment; in place of the job's own. */
  finishBy?: string | Date;
  /** Loads an older date although the target has rows of a newer one. */
  overNewer?: boolean;
  /** What the summary advises instead of `rerun latest` and `run`. */
  next?: NextCommands;
}

export interface RunCommandOptions extends ExecuteOptions {
  date?: string;
  limit?: number;
  dryRun?: boolean;
  again?: boolean;
}

/** `nightfill run`: gives the exit code. */
export async function runCommand(file: string, options: RunCommandOptions, terminal: Terminal): Promise<number> {
  const { directory, environment } = terminal;
  const job = await loadJob(file, { directory, environment, onWarning: (line) => note(terminal, line) }).catch(
    async (error: unknown) => {
      await recordUnusableFile(file, { error, options, terminal });
      throw error;
    },
  );
  return runLoadedJob(job, options, terminal);
}

export async function runLoadedJob(job: Job, options: RunCommandOptions, terminal: Terminal): Promise<number> {
  const businessDate = options.date ?? businessDateIn(job.timezone, new Date());
  const log = commandLog(terminal, secretsOf(job));
  using signals = signalsOf(options, terminal);
  const { signal } = signals;
  const selection = withPatience({ ...options, database: job.database });
  await using opened = await openDatabase(selection, { ...terminal, log, signal });
  const former = await formerWriterNote(opened.database, job);
  if (former !== undefined) log.warn(former);
  const start = { command: 'run' as const, job: job.name, businessDate, jobFile: job.file.path, options };
  return await recordingRefusal(opened.database, { ...start, secrets: secretsOf(job) }, async () =>
    executeJob(job, { options, terminal, businessDate, database: opened.database, log, signals }, async (o) =>
      runJob(job, {
        ...o,
        businessDate,
        ...(options.limit !== undefined && { limit: options.limit }),
        dryRun: options.dryRun ?? false,
        again: options.again ?? false,
      }),
    ),
  );
}

/** Waits for a database that is not up yet as long as for one that goes away during the run. */
export const withPatience = <Options extends DatabaseSelection>(
  options: Options,
): Options & { databaseWait: number } => ({
  ...options,
  databaseWait: options.databaseWait ?? defaultDatabaseWaitMs,
});

/** Hold it as long as anything is open that a stop may have to wait for. */
export const signalsOf = ({ grace }: ExecuteOptions, terminal: Terminal): StopSignals =>
  stopSignals(terminal, { graceMs: grace ?? 30_000, note: (line) => note(terminal, line) });

const note = ({ stderr }: Terminal, line: string): void => writeLines(stderr, [line]);

/** What `run` and `rerun` share: database, signals, progress and the output of the report. */
export async function executeJob(
  job: Job,
  o: {
    options: ExecuteOptions & Pick<RunCommandOptions, 'limit' | 'dryRun'>;
    terminal: Terminal;
    businessDate: string;
    database: Database;
    log: Log;
    signals: StopSignals;
  },
  execute: (options: RunOptions) => Promise<RunResult>,
): Promise<number> {
  const { options, terminal, businessDate, database, log, signals } = o;
  const { directory, stdout, stderr, environment } = terminal;
  using _ = boundYoungGeneration();
  const finishBy = finishByOf(options, job);
  database.requireWritable();
  const reportName = reportFileOf(job, businessDate, options);
  const reportFile = resolve(directory, reportName);
  await requireWritable(reportFile, reportName);
  const mode = progressMode(stderr, environment);
  const say = (line: string): void => (mode === 'display' ? note(terminal, line) : log.info(line));
  say(`database: ${database.description}`);

  // Loaded for terminals only: the libraries that measure text take 30 ms.
  const start = mode === 'display' ? (await import('../observe/progress-display.ts')).startDisplay : startLines;
  let progress: Progress | undefined;
  let result: RunResult;
  try {
    result = await execute({
      database,
      trigger: options.trigger ?? 'manual',
      ifRunning: options.ifRunning === 'wait' ? 'wait' : 'fail',
      version,
      log,
      clock: systemClock,
      ...(finishBy && { finishBy }),
      overNewer: options.overNewer ?? false,
      databaseWaitMs: options.databaseWait ?? defaultDatabaseWaitMs,
      stopping: signals.stopping,
      signal: signals.signal,
      onStart: (context) => {
        const display = start({
          snapshot: progressSnapshot(context, signals),
          stream: stderr,
          log,
          environment,
        });
        progress = display;
        signals.underWay((line) => display.note(line));
      },
      onContract: () => progress?.advance(),
    });
  } catch (error) {
    if (!(error instanceof JobRunningError) || options.ifRunning !== 'skip') throw error;
    note(terminal, `${error.message.split(';')[0]}; skipped`);
    return 0;
  } finally {
    progress?.stop();
  }

  // The report is stored in the database, so a file that cannot be written does not fail the run.
  const writeFile = async (text: string): Promise<void> =>
    writeReportFile(reportFile, text, reportName).then(
      () => say(`report: ${reportName}`),
      (error: Error) => note(terminal, error.message),
    );
  if ('nothingToDo' in result) {
    const { nothingToDo, stored, exitCode, controls } = result;
    if (options.json) writeJson(stdout, `${JSON.stringify({ nothingToDo, exitCode, controls })}\n`);
    else writeLines(stdout, [nothingToDo, ...controlLines(controls)]);
    // An earlier run may have died between storing its report and writing the file.
    if (stored !== undefined && stored !== (await readFile(reportFile, 'utf8').catch(() => undefined)))
      await writeFile(stored);
    return exitCode;
  }
  const text = formatReport(result.report);
  const { id, purpose } = result.report.run;
  const { limit, databaseUrl } = options;
  const of = purpose === 'sample' ? { of: id } : {};
  const next = options.next ?? nextCommands(job, { businessDate, limit, databaseUrl, directory, environment, ...of });
  if (options.json) writeJson(stdout, text);
  else writeLines(stdout, summaryLines(result.report, next));
  await writeFile(text);
  // Ignored: without it a rerun writes to the default folder.
  await keepReportPlace(database, result.report.run.id, reportFile).catch(() => undefined);
  return result.report.run.exitCode;
}

/** The moment that `--finish-by` names; undefined without it. Throws UsageError for one in the past. */
export function finishByOf({ finishBy }: Pick<ExecuteOptions, 'finishBy'>, { timezone }: Job): Date | undefined {
  const now = new Date();
  if (typeof finishBy === 'string') return nextTimeOfDay(finishBy, { timezone, now });
  if (finishBy && finishBy <= now)
    throw new UsageError(
      `--finish-by ${finishBy.toISOString()} is in the past, it is ${now.toISOString()}; name a later time`,
      {
        code: 'FINISH_BY_OVER',
      },
    );
  return finishBy;
}

/** A sample and a dry run have files of their own, because finance reads the night's. */
function reportFileOf(
  job: Job,
  businessDate: string,
  o: Pick<RunCommandOptions, 'report' | 'limit' | 'dryRun'>,
): string {
  const kind = o.dryRun ? '-dry-run' : o.limit === undefined ? '' : '-sample';
  return o.report ?? join('reports', `${job.name}-${businessDate}${kind}.json`);
}

/** Throws UsageError, before the run starts, when the report could not be written. */
async function requireWritable(file: string, name: string): Promise<void> {
  try {
    await makeReportFolder(dirname(file));
    await access(dirname(file), constants.W_OK);
    const found = await stat(file).catch(() => undefined);
    if (found?.isDirectory()) throw new Error('it is a folder');
  } catch (error) {
    throw new UsageError(
      `the report cannot be written to ${name}: ${(error as Error).message}; name another place with --report FILE`,
      { code: 'REPORT_NOT_WRITABLE', cause: error },
    );
  }
}
