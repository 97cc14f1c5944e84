import { loadJob } from '../config/load-job.ts';
import type { Job } from '../jobs/job.ts';
import type { Log } from '../observe/log.ts';
import { findRun } from '../ledger/find-run.ts';
import { readInstance, type Instance } from '../ledger/instance.ts';
import type { RunRow } from '../ledger/run.ts';
import { reportPlaceOf } from '../ledger/report-place.ts';
import { rerunJob } from '../jobs/run/run.ts';
import { UsageError } from '../resilience/failure.ts';
import type { Database } from '../sinks/postgres/postgres.ts';
import { commandLog } from '../session/command-log.ts';
import { openDatabase, openHistory } from '../session/open-database.ts';
import { recordingRefusal } from '../session/record-refusal.ts';
import { executeJob } from '../session/execute-job.ts';
import { signalsOf, withPatience, type ExecuteOptions } from '../session/execute-options.ts';
import { secretsOf } from '../session/secrets.ts';
import type { StopSignals } from '../session/stop-signals.ts';
import { writeLines, type Terminal } from '../session/terminal.ts';

export interface RerunCommandOptions extends ExecuteOptions {
  chunk?: number[];
  wholeChunks?: boolean;
  only?: 'transient' | 'all';
  job?: string;
}

/** `nightfill rerun`: gives the exit code. */
export async function rerunCommand(run: string, options: RerunCommandOptions, terminal: Terminal): Promise<number> {
  using signals = signalsOf(options, terminal);
  const { signal } = signals;
  await using opened = await openHistory(withPatience(options), { ...terminal, log: commandLog(terminal), signal });
  const { database } = opened;
  const of = await findRun(database, { run, ...(opened.job && { job: opened.job }) });
  const instance = await readInstance(database, of.instance);
  const { job: name, businessDate } = instance;
  const file = opened.jobFile ?? of.jobFile;
  const start = { command: 'rerun' as const, job: name, businessDate, jobFile: file, options };
  // Filled once the job file is read.
  const secrets: string[] = [];
  return await recordingRefusal(database, { ...start, secrets }, async () =>
    rerunOf(of, { options, terminal, signals, database, instance, secrets, file, named: opened.jobFile !== undefined }),
  );
}

async function rerunOf(
  of: RunRow,
  o: {
    options: RerunCommandOptions;
    terminal: Terminal;
    signals: StopSignals;
    database: Database;
    instance: Instance;
    secrets: string[];
    file: string;
    /** Whether the file was named on the command line, and so has selected the database. */
    named: boolean;
  },
): Promise<number> {
  const { options, terminal, signals, database, file } = o;
  const { directory, environment } = terminal;
  const { job: name, businessDate } = o.instance;
  const job = await loadJob(file, { directory, environment, onWarning: (line) => writeLines(terminal.stderr, [line]) });
  if (job.name !== name)
    throw new UsageError(
      `run ${of.id} was of job ${name}, and ${file} now describes ${job.name}; put the job file back, or give its history to the new name: nightfill migrate --rename-job ${name}=${job.name}`,
      {
        code: 'JOB_RENAMED',
      },
    );
  if (job.file.sha256 !== of.configSha256)
    writeLines(terminal.stderr, [`${file} has changed since run ${of.id}; the rest is done with the present file`]);
  o.secrets.push(...secretsOf(job));
  const log = commandLog(terminal, o.secrets);
  if (!o.named) await requireSameDatabase(job, { of, file, database, terminal, log });
  const report = options.report ?? (await reportPlaceOf(database, of.instance));
  const withPlace = { ...options, ...(report !== undefined && { report }) };
  return executeJob(job, { options: withPlace, terminal, businessDate, database, log, signals }, async (o) =>
    rerunJob(job, {
      ...o,
      of,
      selection: {
        ...(options.chunk && { chunks: options.chunk }),
        wholeChunks: options.wholeChunks ?? false,
        onlyTransient: options.only === 'transient',
      },
    }),
  );
}

/** Throws UsageError when the job file now pins another database than the one in which the run was found. */
async function requireSameDatabase(
  job: Job,
  o: { of: RunRow; file: string; database: Database; terminal: Terminal; log: Log },
): Promise<void> {
  if (job.database === undefined) return;
  await using pinned = await openDatabase({ database: job.database, migrate: 'later' }, { ...o.terminal, log: o.log });
  const { description } = pinned.database;
  // Compared by the run's id, which is unique, because one address has several spellings.
  const isThere = await findRun(pinned.database, { run: o.of.id }).then(
    () => true,
    () => false,
  );
  if (isThere) return;
  throw new UsageError(
    `run ${o.of.id} was found in ${o.database.description}, and ${o.file} pins its database: ${description}, which does not have it; look there with nightfill rerun latest --job ${o.file}`,
    { code: 'DATABASE_PINNED' },
  );
}
