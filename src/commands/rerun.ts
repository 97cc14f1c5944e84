import { loadJob } from '../config/load-job.ts';
import { findRun, readInstance } from '../jobs/ledger.ts';
import { reportPlaceOf } from '../jobs/report-place.ts';
import { rerunJob } from '../jobs/run.ts';
import { UsageError } from '../resilience/failure.ts';
import { commandLog } from './command-log.ts';
import { openDatabase } from './open-database.ts';
import { executeJob, signalsOf, type ExecuteOptions } from './run.ts';
import { secretsOf } from './secrets.ts';
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
  const { businessDate, job: name } = await readInstance(database, of.instance);
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
  const log = commandLog(terminal, secretsOf(job));
  const report = options.report ?? (await reportPlaceOf(database, of.instance));
  const withPlace = { ...options, ...(report !== undefined && { report }) };
  return await executeJob(job, { options: withPlace, terminal, businessDate, database, log, signals }, async (o) =>
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
