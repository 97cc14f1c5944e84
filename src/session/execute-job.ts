import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Job } from '../jobs/job.ts';
import type { RunOptions } from '../jobs/run/prepared-run.ts';
import type { RunResult } from '../jobs/run/run.ts';
import { JobRunningError } from '../ledger/lease.ts';
import { keepReportPlace } from '../ledger/report-place.ts';
import type { Log } from '../observe/log.ts';
import { progressMode, startLines, type Progress } from '../observe/progress.ts';
import { boundYoungGeneration } from '../observe/young-generation.ts';
import type { Report } from '../report/schema.ts';
import { formatReport, writeReportFile } from '../report/store.ts';
import { systemClock } from '../resilience/clock.ts';
import type { Database } from '../sinks/postgres/postgres.ts';
import { version } from '../version.ts';
import { finishByOf, type ExecuteOptions } from './execute-options.ts';
import { nextCommands, type NextCommands } from './next-commands.ts';
import { defaultDatabaseWaitMs } from './open-database.ts';
import { progressSnapshot } from './progress-snapshot.ts';
import { reportFileOf, requireWritable } from './report-file.ts';
import type { StopSignals } from './stop-signals.ts';
import { controlLines, summaryLines } from './summary.ts';
import { writeJson, writeLines, type Terminal } from './terminal.ts';

export interface JobExecution {
  options: ExecuteOptions & { limit?: number; dryRun?: boolean };
  terminal: Terminal;
  businessDate: string;
  database: Database;
  log: Log;
  signals: StopSignals;
}

/** What `run` and `rerun` share: database, signals, progress and the output of the report. */
export async function executeJob(
  job: Job,
  o: JobExecution,
  execute: (options: RunOptions) => Promise<RunResult>,
): Promise<number> {
  const { options, terminal, businessDate, database, log, signals } = o;
  const { directory, stderr, environment } = terminal;
  using _ = boundYoungGeneration();
  const finishBy = finishByOf(options, job);
  database.requireWritable();
  const reportName = reportFileOf(job, businessDate, options);
  const reportFile = resolve(directory, reportName);
  await requireWritable(reportFile, reportName);
  const mode = progressMode(stderr, environment);
  const say = (line: string): void => (mode === 'display' ? writeLines(stderr, [line]) : log.info(line));
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
    writeLines(stderr, [`${error.message.split(';')[0]}; skipped`]);
    return 0;
  } finally {
    progress?.stop();
  }

  return await putOut(result, { ...o, job, say, reportFile, reportName });
}

/** Puts out what the run gave, as lines or JSON and as the report's file; gives the exit code. */
async function putOut(
  result: RunResult,
  o: JobExecution & {
    job: Job;
    say: (line: string) => void;
    /** Absolute path. */
    reportFile: string;
    /** As it was asked for. */
    reportName: string;
  },
): Promise<number> {
  const { options, terminal, database, say, reportFile, reportName } = o;
  const { stdout } = terminal;
  // The report is stored in the database, so a file that cannot be written does not fail the run.
  const writeFile = async (text: string): Promise<void> =>
    writeReportFile(reportFile, text, reportName).then(
      () => say(`report: ${reportName}`),
      (error: Error) => writeLines(terminal.stderr, [error.message]),
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
  if (options.json) writeJson(stdout, text);
  else writeLines(stdout, summaryLines(result.report, adviceFor(result.report, o)));
  await writeFile(text);
  // Ignored: without it a rerun writes to the default folder.
  await keepReportPlace(database, result.report.run.id, reportFile).catch(() => undefined);
  return result.report.run.exitCode;
}

function adviceFor(
  { run }: Report,
  { job, options, terminal, businessDate }: JobExecution & { job: Job },
): NextCommands {
  const { directory, environment } = terminal;
  const { limit, databaseUrl } = options;
  const of = run.purpose === 'sample' ? { of: run.id } : {};
  return options.next ?? nextCommands(job, { businessDate, limit, databaseUrl, directory, environment, ...of });
}
