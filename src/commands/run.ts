import { loadJob } from '../config/load-job.ts';
import { businessDateIn } from '../jobs/business-date.ts';
import { formerWriterNote } from '../jobs/former-writer.ts';
import type { Job } from '../jobs/job.ts';
import { runJob } from '../jobs/run/run.ts';
import { commandLog } from '../session/command-log.ts';
import { executeJob } from '../session/execute-job.ts';
import { signalsOf, withPatience, type ExecuteOptions } from '../session/execute-options.ts';
import { openDatabase } from '../session/open-database.ts';
import { recordingRefusal, recordUnusableFile } from '../session/record-refusal.ts';
import { secretsOf } from '../session/secrets.ts';
import { writeLines, type Terminal } from '../session/terminal.ts';

export interface RunCommandOptions extends ExecuteOptions {
  date?: string;
  limit?: number;
  dryRun?: boolean;
  again?: boolean;
}

/** `nightfill run`: gives the exit code. */
export async function runCommand(file: string, options: RunCommandOptions, terminal: Terminal): Promise<number> {
  const { directory, environment } = terminal;
  const job = await loadJob(file, {
    directory,
    environment,
    onWarning: (line) => writeLines(terminal.stderr, [line]),
  }).catch(async (error: unknown) => {
    await recordUnusableFile(file, { error, options, terminal });
    throw error;
  });
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
