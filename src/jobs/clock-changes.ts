import { Cron } from 'croner';
import type { Timetable } from './schedule.ts';

/** A date on which a change of daylight saving time affects a schedule's starts. */
export interface ClockChange {
  /** YYYY-MM-DD, local. */
  date: string;
  /** HH:MM of the first affected start, local. */
  time: string;
  /** Local times are skipped in spring, and come twice in autumn. */
  kind: 'skipped' | 'twice';
  /** HH:MM, local: the first time after those skipped, or the first of those that come twice. */
  clockGoesTo: string;
  /** The date has no later start. */
  isOnlyStart: boolean;
}

const day = 24 * 3_600_000;
const minute = 60_000;

/** The changes of daylight saving time within `days` from `from` that affect the timetable's starts. */
export function clockChanges(
  { schedule, timezone }: Timetable,
  { from, days }: { from: Date; days: number },
): ClockChange[] {
  const wall = wallOf(timezone);
  // Computed in local time, where each day has each hour once.
  const cron = new Cron(schedule, { timezone: 'UTC', paused: true });
  const found: ClockChange[] = [];
  const begin = Math.floor(from.getTime() / minute) * minute;
  for (let at = begin; at < begin + days * day; at += day) {
    const step = wall(at + day) - wall(at) - day;
    if (step === 0) continue;
    const change = changeWithin(wall, at);
    const [first, end] = [wall(change), wall(change) - step].toSorted((one, other) => one - other) as [number, number];
    const start = cron.nextRun(new Date(first - 1));
    if (!start || start.getTime() >= end) continue;
    const [date = '', time = ''] = start.toISOString().slice(0, 16).split('T');
    const clockGoesTo = new Date(wall(change)).toISOString().slice(11, 16);
    const later = cron
      .nextRun(new Date(end - 1))
      ?.toISOString()
      .slice(0, 10);
    found.push({ date, time, kind: step > 0 ? 'skipped' : 'twice', clockGoesTo, isOnlyStart: later !== date });
  }
  return found;
}

/**
 * The yearly day whose only start is skipped because clocks are set forward over it: a month, a weekday (0 is Sunday), and
 * the first and last day of the month it may fall on, less than a week apart. Undefined when there is none, or no such rule.
 */
export function yearlySkip(
  timetable: Timetable,
  from: Date,
): { month: number; days: [number, number]; weekday: number; clockGoesTo: string } | undefined {
  // Weekdays and dates repeat every 28 years.
  const skipped = clockChanges(timetable, { from, days: 28 * 365.25 }).filter(({ kind }) => kind === 'skipped');
  const dates = skipped.filter(({ isOnlyStart }) => isOnlyStart).map(({ date }) => new Date(date));
  const [first] = dates;
  if (!first) return undefined;
  const days = dates.map((date) => date.getUTCDate());
  const [month, weekday] = [first.getUTCMonth(), first.getUTCDay()];
  const isRule =
    dates.every((date) => date.getUTCMonth() === month && date.getUTCDay() === weekday) &&
    Math.max(...days) - Math.min(...days) < 7;
  if (!isRule) return undefined;
  return {
    month: month + 1,
    days: [Math.min(...days), Math.max(...days)],
    weekday,
    clockGoesTo: skipped[0]!.clockGoesTo,
  };
}

/** Local time in milliseconds, read as if it were UTC. */
function wallOf(timezone: string): (at: number) => number {
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone: timezone, dateStyle: 'short', timeStyle: 'medium' });
  return (at) => Date.parse(`${format.format(at).replace(' ', 'T')}Z`);
}

/** The minute at which the clock changes, within the day after `begin`; found by bisection. */
function changeWithin(wall: (at: number) => number, begin: number): number {
  const offset = wall(begin) - begin;
  let [before, after] = [begin, begin + day];
  while (after - before > minute) {
    const middle = before + Math.floor((after - before) / 2 / minute) * minute;
    if (wall(middle) - middle === offset) before = middle;
    else after = middle;
  }
  return after;
}
