import { loadJob } from '../config/load-job.ts';
import { findRun, readInstance, type Instance, type RunRow } from '../jobs/ledger.ts';
import { rerunJob } from '../jobs/run.ts';
import { UsageError } from '../resilience/failure.ts';
import type { Database } from '../sinks/postgres.ts';
import { commandLog } from './command-log.ts';
import { openDatabase } from './open-database.ts';
import { recordingRefusal } from './record-refusal.ts';
import { executeJob, signalsOf, type ExecuteOptions } from './run.ts';
import { secretsOf } from './secrets.ts';
import type { StopSignals } from './stop-signals.ts';
import type { Terminal } from './terminal.ts';

export interface RerunCommandOptions extends ExecuteOptions {
  chunk?: number[];
  wholeChunks?: boolean;
  only?: 'transient' | 'all';
  job?: string;
}

/** `nightfill rerun`: gives the exit code. */
export async function rerunCommand(run: string, options: RerunCommandOptions, terminal: Terminal): Promise<number> {
  const { environment } = terminal;
  using signals = signalsOf(options, terminal);
  const { signal } = signals;
  await using opened = await openDatabase(options, { environment, log: commandLog(terminal), signal });
  const { database } = opened;
  const of = await findRun(database, { run, preferNights: true, ...(options.job && { job: options.job }) });
  const instance = await readInstance(database, of.instance);
  const { job: name, businessDate } = instance;
  const start = { command: 'rerun' as const, job: name, businessDate, jobFile: of.jobFile, options };
  // Known once the job file is read.
  const secrets: string[] = [];
  return await recordingRefusal(database, { ...start, secrets }, async () =>
    rerunOf(of, { options, terminal, signals, database, instance, secrets }),
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
  },
): Promise<number> {
  const { options, terminal, signals, database } = o;
  const { environment } = terminal;
  const { job: name, businessDate } = o.instance;
  const job = await loadJob(of.jobFile, { environment, onWarning: (line) => terminal.stderr.write(`${line}\n`) });
  if (job.name !== name)
    throw new UsageError(
      `run ${of.id} was of job ${name}, and ${of.jobFile} now describes ${job.name}; put the job file back`,
      {
        code: 'JOB_RENAMED',
      },
    );
  if (job.file.sha256 !== of.configSha256)
    terminal.stderr.write(
      `${of.jobFile} has changed since run ${of.id}; what is left is done by the file as it is now\n`,
    );
  o.secrets.push(...secretsOf(job));
  const log = commandLog(terminal, o.secrets);
  return executeJob(job, { options, terminal, businessDate, database, log, signals }, async (o) =>
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
