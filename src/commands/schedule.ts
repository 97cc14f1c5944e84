import { spawn } from 'node:child_process';
import { userInfo } from 'node:os';
import { fileURLToPath } from 'node:url';
import { loadJob } from '../config/load-job.ts';
import { findNewerNight } from '../ledger/newer-night.ts';
import { readNightStatus } from '../ledger/history/night-status.ts';
import { comingStarts, keepSchedule, type Start } from '../jobs/schedule.ts';
import { systemClock } from '../resilience/clock.ts';
import { UsageError } from '../resilience/failure.ts';
import type { Log } from '../observe/log.ts';
import { harmless } from '../observe/terminal-text.ts';
import { commandLog } from '../session/command-log.ts';
import { defaultDatabaseWaitMs, readIfThere, requireDatabase } from '../session/open-database.ts';
import { crontabEntries, systemdEntries, type ScheduledJob } from './schedule-entries.ts';
import { table } from '../session/summary.ts';
import { writeLines, writeText, type Terminal } from '../session/terminal.ts';

export interface ScheduleOptions {
  print?: 'crontab' | 'systemd';
  next?: number;
  /** For printed entries: the file with the job's variables. */
  envFile?: string;
  mailTo?: string;
}

const program = fileURLToPath(new URL('../../bin/nightfill.js', import.meta.url));

/** `nightfill schedule`: runs jobs at their `schedule`, or says when, or prints entries for another scheduler. */
export async function scheduleCommand(
  files: readonly string[],
  options: ScheduleOptions,
  terminal: Terminal,
): Promise<number> {
  const { stdout } = terminal;
  const jobs = await Promise.all(files.map(async (file) => scheduledJob(file, terminal)));
  const place = {
    program: [process.execPath, program],
    folder: terminal.directory,
    environmentFile: options.envFile ?? 'secrets.env',
    mailTo: options.mailTo,
    user: userInfo().username,
    now: new Date(),
  };
  if (options.print) {
    const entries = options.print === 'crontab' ? crontabEntries(jobs, place) : systemdEntries(jobs, place);
    requirePlain([place.folder, place.environmentFile, ...jobs.map(({ file }) => file)]);
    writeText(stdout, entries);
    return 0;
  }
  if (options.next !== undefined) {
    const from = new Date();
    const starts = jobs.flatMap((job) =>
      comingStarts(job, { from, count: options.next! }).map((at) => [
        at.toISOString(),
        localTime(at, job.timezone),
        job.name,
      ]),
    );
    writeLines(stdout, table(starts.toSorted(([one = ''], [other = '']) => one.localeCompare(other))));
    return 0;
  }
  return runSchedules(jobs, terminal);
}

/** Throws UsageError for a path with control characters, which would break the printed line or be printed as another path. */
function requirePlain(paths: readonly string[]): void {
  const found = paths.find((path) => path !== harmless(path));
  if (found === undefined) return;
  throw new UsageError(
    `expected paths without control characters, because they stand in one line of the printed entries, got ${JSON.stringify(found)}; rename it`,
    { code: 'PATH_NOT_PRINTABLE' },
  );
}

async function scheduledJob(file: string, { directory, environment, stderr }: Terminal): Promise<ScheduledJob> {
  const job = await loadJob(file, { directory, environment, onWarning: (line) => writeLines(stderr, [line]) });
  if (job.schedule === undefined)
    throw new UsageError(`${file} has no schedule; add one such as schedule: "0 2 * * *"`, { code: 'NO_SCHEDULE' });
  const { name, schedule, timezone, catchUp, database } = job;
  return { name, file: job.file.path, schedule, timezone, catchUp, database };
}

const localTime = (at: Date, timezone: string): string =>
  new Intl.DateTimeFormat('sv-SE', {
    timeZone: timezone,
    dateStyle: 'short',
    timeStyle: 'short',
    timeZoneName: undefined,
  }).format(at);

/**
 * Whether to catch up on the last start that was due before this process started: the job has run before, and the date has
 * no run or an unfinished one.
 */
async function isMissing(
  { name, database: pinned }: ScheduledJob,
  { start, terminal, log, signal }: { start: Start; terminal: Terminal; log: Log; signal: AbortSignal },
): Promise<boolean> {
  const { businessDate } = start;
  const facts = { job: name, due: start.due.toISOString(), businessDate };
  // After a reboot the database may start later than this process.
  const selection = { database: pinned, trigger: 'schedule', databaseWait: defaultDatabaseWaitMs } as const;
  const found = await readIfThere(selection, { ...terminal, log, signal }, async (database) => {
    const night = await readNightStatus(database, { job: name, businessDate });
    return { night, newer: await findNewerNight(database, { job: name, businessDate }) };
  });
  if ('unknown' in found) {
    log.info({ ...facts, reason: found.unknown }, 'cannot tell whether the last start was missed; not catching up');
    return false;
  }
  if (!found.night || found.night.status === 'complete') return false;
  if (found.newer) {
    log.warn({ ...facts, newer: found.newer }, 'rows of a newer date are loaded; not catching up on the last start');
    return false;
  }
  log.warn(
    facts,
    found.night.status === null ? 'the last start was missed; catching up' : 'resuming the unfinished run',
  );
  return true;
}

const passedOn = (stream: NodeJS.WritableStream, own: NodeJS.WritableStream): 'inherit' | 'pipe' =>
  stream === own ? 'inherit' : 'pipe';

/** Runs until stopped. Each run is a process of its own, so that its crash does not affect the others. */
async function runSchedules(jobs: readonly ScheduledJob[], terminal: Terminal): Promise<number> {
  const { stdout, stderr } = terminal;
  const log = commandLog(terminal);
  // Each run would refuse it, so fail now.
  for (const { database } of jobs) requireDatabase({ database, trigger: 'schedule' }, terminal);
  const stop = new AbortController();
  const running = new Set<ReturnType<typeof spawn>>();
  const onSignal = (signal: NodeJS.Signals): void => {
    stop.abort();
    for (const child of running) child.kill(signal);
  };
  for (const name of ['SIGINT', 'SIGTERM'] as const) terminal.signals.on(name, onSignal);
  for (const job of jobs) {
    const [next] = comingStarts(job, { from: new Date(), count: 1 });
    log.info({ job: job.name, next: next?.toISOString() }, 'scheduled');
  }
  const startOf =
    ({ name, file }: ScheduledJob) =>
    async ({ due, businessDate, skipped }: Start): Promise<void> => {
      if (skipped > 0) log.warn({ job: name, skipped }, 'earlier starts were missed; not catching up on them');
      log.info({ job: name, due: due.toISOString(), businessDate }, 'starting');
      const child = spawn(
        process.execPath,
        [program, 'run', file, '--date', businessDate, '--trigger', 'schedule', '--if-running', 'skip'],
        {
          stdio: ['ignore', passedOn(stdout, process.stdout), passedOn(stderr, process.stderr)],
          cwd: terminal.directory,
          env: terminal.environment,
          // In its own process group, so that a Ctrl-C at the terminal reaches it only once, from here.
          detached: true,
        },
      );
      child.stdout?.pipe(stdout, { end: false });
      child.stderr?.pipe(stderr, { end: false });
      running.add(child);
      const exitCode = await new Promise<number | null>((resolve) => {
        child.once('error', () => resolve(null));
        child.once('close', resolve);
      });
      running.delete(child);
      log.info({ job: name, exitCode }, 'ended');
    };
  try {
    await Promise.all(
      jobs.map(async (job) =>
        keepSchedule(job, {
          start: startOf(job),
          catchUp: job.catchUp,
          missing: async (start) =>
            isMissing(job, { start, terminal, log, signal: stop.signal }).catch((error: unknown) => {
              if (stop.signal.aborted) return false;
              throw error;
            }),
          setBack: ({ byMs, next }) =>
            log.warn(
              { job: job.name, byMs, next: next?.toISOString() },
              'the clock was set back; computing the next starts again',
            ),
          repeated: ({ due, businessDate }) =>
            log.warn(
              { job: job.name, due: due.toISOString(), businessDate },
              'this start ran before the clock was set back and is not repeated; to run its date again: nightfill run --again',
            ),
          passedOver: ({ due, skipped }) =>
            log.warn({ job: job.name, due: due.toISOString(), missed: skipped + 1 }, 'missed, and catchUp is none'),
          clock: systemClock,
          signal: stop.signal,
        }),
      ),
    );
  } finally {
    for (const name of ['SIGINT', 'SIGTERM'] as const) terminal.signals.off(name, onSignal);
  }
  return 0;
}
