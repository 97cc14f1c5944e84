import type { Timetable } from '../jobs/schedule.ts';

export interface ScheduledJob extends Timetable {
  name: string;
  /** Absolute path of the job file. */
  file: string;
  catchUp: 'last' | 'none';
}

export interface EntryPlace {
  /** How nightfill is called, word by word, for example `/usr/bin/node` and `/opt/app/bin/nightfill.js`. */
  program: readonly string[];
  /** Where it runs: reports and the embedded database lie below. */
  folder: string;
}

/** For systemd: `%` and `$` begin something else, and quotes are C's and not the shell's. */
const systemdWord = (text: string): string => {
  const plain = text.replaceAll('%', '%%').replaceAll('$', '$$$$');
  return /^[\w@%+=:,./$-]+$/.test(plain) ? plain : `"${plain.replaceAll(/[\\"]/g, '\\$&')}"`;
};

/** For a shell. */
const quoted = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

/** Lines for `crontab -e`. CRON_TZ is understood by cronie, not by Debian's cron: there the times are the machine's. */
export function crontabEntries(jobs: readonly ScheduledJob[], { program, folder }: EntryPlace): string {
  return jobs
    .map(
      ({ name, file, schedule, timezone }) =>
        // In a crontab % ends the command.
        `# ${name}\nCRON_TZ=${timezone}\n${schedule} ${`cd ${quoted(folder)} && ${[...program, 'run', file].map(quoted).join(' ')} --trigger cron --if-running skip >> ${quoted(`${name}.log`)} 2>&1`.replaceAll('%', '\\%')}\n`,
    )
    .join('\n');
}

/** A service and a timer per job; each begins with the name of the file it belongs into. */
export function systemdEntries(jobs: readonly ScheduledJob[], { program, folder }: EntryPlace): string {
  return jobs
    .map(
      ({ name, file, schedule, timezone, catchUp }) => `# /etc/systemd/system/nightfill-${name}.service
[Unit]
Description=Nightfill job ${name}
After=network-online.target
Wants=network-online.target

[Service]
Type=oneshot
WorkingDirectory=${folder.replaceAll('%', '%%')}
ExecStart=${[...program, 'run', file].map(systemdWord).join(' ')} --trigger cron --if-running skip
TimeoutStopSec=45
KillSignal=SIGTERM

# /etc/systemd/system/nightfill-${name}.timer
[Unit]
Description=Starts nightfill-${name}

[Timer]
${calendars(schedule)
  .map((calendar) => `OnCalendar=${calendar} ${timezone}`)
  .join('\n')}
Persistent=${catchUp === 'last'}

[Install]
WantedBy=timers.target
`,
    )
    .join('\n');
}

const weekdays = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];
const months = ['', 'jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];

/** systemd calendar expressions for five cron fields; two when both day and weekday are given, for cron takes either. */
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
