import { resolve } from 'node:path';
import { clockChanges, yearlySkip } from '../jobs/clock-changes.ts';
import type { PinnedDatabase } from '../jobs/job.ts';
import type { Timetable } from '../jobs/schedule.ts';

export interface ScheduledJob extends Timetable {
  name: string;
  /** Absolute path of the job file. */
  file: string;
  catchUp: 'last' | 'none';
  /** By the job file. */
  database?: PinnedDatabase | undefined;
}

export interface EntryPlace {
  /** The command line as words: Node.js and the program itself, because npx does not forward SIGTERM. */
  program: readonly string[];
  /** The working directory, below which reports and the embedded database are. */
  folder: string;
  /** With a line NAME=value for each variable that the job needs; absolute, or below the folder. */
  environmentFile: string;
  /** Who gets a mail about a failed run. */
  mailTo?: string | undefined;
  user: string;
  /** From when on daylight saving changes are listed. */
  now: Date;
}

/** Quoted for systemd: `%` and `$` are special, and quotes follow C, not the shell. */
const systemdWord = (text: string): string => {
  const plain = text.replaceAll('%', '%%').replaceAll('$', '$$$$');
  return /^[\w@%+=:,./$-]+$/.test(plain) ? plain : `"${plain.replaceAll(/[\\"]/g, '\\$&')}"`;
};

/** Quoted for a shell. */
const quoted = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

/** Lines for `crontab -e`. CRON_TZ works with cronie, not with Debian's cron, which uses the machine's time zone. */
export function crontabEntries(jobs: readonly ScheduledJob[], place: EntryPlace): string {
  const { program, folder, environmentFile, mailTo } = place;
  const environment = quoted(environmentFile.startsWith('/') ? environmentFile : `./${environmentFile}`);
  return jobs
    .map((job) => {
      const { name, file, schedule, timezone } = job;
      const log = quoted(`${name}.log`);
      const run = [...program, 'run', file].map(quoted).join(' ');
      // The run writes to a file, and cron mails what is printed: nothing after a successful run.
      const line =
        `cd ${quoted(folder)} && set -a && . ${environment} && set +a && ${run} --trigger cron --if-running skip >>${log} 2>&1` +
        ` || { code=$?; echo "nightfill exited with $code"; tail -n 20 ${log}; }`;
      return [
        `# ${name}`,
        ...[variablesNote(job, place), ...clockNotes(job, place)].map((note) => `# ${note}`),
        ...(mailTo === undefined ? [] : [`MAILTO=${mailTo}`]),
        `CRON_TZ=${timezone}`,
        // In a crontab an unescaped % ends the command.
        `${schedule} ${line.replaceAll('%', '\\%')}`,
        '',
      ].join('\n');
    })
    .join('\n');
}

/** Dates on which a crontab may miss or repeat a start. */
function clockNotes(timetable: Timetable, { now }: EntryPlace): string[] {
  return clockChanges(timetable, { from: now, days: 366 }).map(({ date, time, kind }) =>
    kind === 'skipped'
      ? `On ${date} the clock skips ${time}: some crons leave that night out. Choose a time that every day has, or run nightfill schedule.`
      : `On ${date} ${time} comes twice: a second start finds the night done, and does nothing.`,
  );
}

function variablesNote({ database }: ScheduledJob, { environmentFile }: EntryPlace): string {
  const besides = database ? '' : ', and DATABASE_URL, because it pins no database';
  return `${environmentFile} holds a line NAME=value for each variable that the job file names${besides} (mode 0600).`;
}

/** A service and a timer per job, and a service that mails failures; each begins with the path of its file. */
export function systemdEntries(jobs: readonly ScheduledJob[], place: EntryPlace): string {
  const { program, folder, environmentFile, mailTo = 'root', user } = place;
  const plain = (text: string): string => text.replaceAll('%', '%%');
  const units = jobs.map((job) => {
    const { name, file, catchUp } = job;
    return `# /etc/systemd/system/nightfill-${name}.service
# ${variablesNote(job, place)}
[Unit]
Description=Nightfill job ${name}
After=network-online.target
Wants=network-online.target
OnFailure=nightfill-failed@%N.service

[Service]
Type=oneshot
User=${plain(user)}
WorkingDirectory=${plain(folder)}
EnvironmentFile=${plain(resolve(folder, environmentFile))}
ExecStart=${[...program, 'run', file].map(systemdWord).join(' ')} --trigger cron --if-running skip
# SIGTERM goes to the run alone, which ends what it started.
KillMode=mixed
KillSignal=SIGTERM
TimeoutStopSec=45

# /etc/systemd/system/nightfill-${name}.timer
[Unit]
Description=Starts nightfill-${name}

[Timer]
${onCalendar(job, place).join('\n')}
Persistent=${catchUp === 'last'}

[Install]
WantedBy=timers.target
`;
  });
  const failed = `# /etc/systemd/system/nightfill-failed@.service
[Unit]
Description=Tells that %i failed

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'journalctl --unit "%i" --lines 20 --no-pager | mail -s "%i failed on %H" ${plain(mailTo)}'
`;
  return [...units, failed].join('\n');
}

/** systemd leaves out a time that the clock skips in spring (seen with 252); an extra entry starts the run right after the change. */
function onCalendar(job: ScheduledJob, { now }: EntryPlace): string[] {
  const { schedule, timezone } = job;
  const lines = calendars(schedule).map((calendar) => `OnCalendar=${calendar} ${timezone}`);
  const skip = yearlySkip(job, now);
  if (!skip) return lines;
  const { month, days, weekday, clockGoesTo } = skip;
  return [
    ...lines,
    '# On the day on which the clock skips that time.',
    `OnCalendar=${weekdays[weekday]} *-${month}-${days[0]}..${days[1]} ${clockGoesTo}:00 ${timezone}`,
  ];
}

const weekdays = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];
const months = ['', 'jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];

/** systemd calendar expressions for five cron fields; two when both day and weekday are given, because cron takes either. */
function calendars(schedule: string): string[] {
  const [minute = '*', hour = '*', day = '*', month = '*', weekday = '*'] = schedule.trim().split(/\s+/);
  const time = `${field(hour)}:${field(minute)}:00`;
  const date = (days: string): string => `*-${field(named(month, months))}-${days}`;
  const onWeekdays = `${weekdayField(weekday)} ${date('*')} ${time}`;
  const onDays = `${date(field(day))} ${time}`;
  if (weekday === '*') return [onDays];
  return day === '*' ? [onWeekdays] : [onDays, onWeekdays];
}

/** `*`, `5`, `1-5`, `*` + `/15` or `0-30/10`, in lists. */
function field(text: string): string {
  return text
    .split(',')
    .map((part) => {
      const [range = '*', step] = part.split('/');
      const [from, to] = range.split('-');
      if (step === undefined) return to === undefined ? range : `${from}..${to}`;
      if (range === '*') return `0/${step}`;
      return to === undefined ? `${from}/${step}` : `${from}..${to}/${step}`;
    })
    .join(',');
}

const named = (text: string, names: readonly string[]): string =>
  text.replaceAll(/[a-z]{3}/gi, (name) => String(names.indexOf(name.toLowerCase())));

function weekdayField(text: string): string {
  const numbers = named(
    text,
    weekdays.slice(0, 7).map((name) => name.toLowerCase()),
  );
  return numbers
    .split(',')
    .flatMap((part) => {
      const [range = '*', step = '1'] = part.split('/');
      const [from = 0, to = from] = range === '*' ? [0, 6] : range.split('-').map(Number);
      if (step === '1' && to > from) return [`${weekdays[from]}..${weekdays[to]}`];
      return Array.from(
        { length: Math.floor((to - from) / Number(step)) + 1 },
        (_, index) => weekdays[from + index * Number(step)]!,
      );
    })
    .join(',');
}
