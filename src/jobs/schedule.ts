import { Cron } from 'croner';
import type { Clock } from '../resilience/clock.ts';
import { businessDateIn } from './business-date.ts';

export interface Timetable {
  /** Five cron fields. */
  schedule: string;
  timezone: string;
}

/** The next `count` starts after `from`; a time that the spring day skips moves on, one that the autumn day repeats comes once. */
export function comingStarts(
  { schedule, timezone }: Timetable,
  { from, count }: { from: Date; count: number },
): Date[] {
  return new Cron(schedule, { timezone, paused: true }).nextRuns(count, from);
}

/** Starts that lie in (after, until]. */
export function missedStarts(timetable: Timetable, { after, until }: { after: Date; until: Date }): Date[] {
  const starts: Date[] = [];
  const cron = new Cron(timetable.schedule, { timezone: timetable.timezone, paused: true });
  for (let start = cron.nextRun(after); start && start <= until; start = cron.nextRun(start)) starts.push(start);
  return starts;
}

export interface Start {
  /** When it was due. */
  due: Date;
  /** The day the run is for: the day it was due, also when it begins late. */
  businessDate: string;
  /** Earlier starts that passed while the machine slept or the run before went on; they are not made up for. */
  skipped: number;
}

// Timers do not run while a machine sleeps, and clocks are set: the wall clock is looked at this often.
const lookEveryMs = 30_000;

/**
 * Calls `start` whenever the timetable says so, one at a time, until the signal aborts. Of starts that were missed the
 * last is made up for, once.
 */
export async function keepSchedule(
  timetable: Timetable,
  o: { start: (start: Start) => Promise<void>; clock: Clock; signal: AbortSignal },
): Promise<void> {
  const { clock, signal } = o;
  let handled = new Date(clock.wallNow());
  while (!signal.aborted) {
    const now = new Date(clock.wallNow());
    const missed = missedStarts(timetable, { after: handled, until: now });
    const due = missed.at(-1);
    if (due) {
      handled = due;
      await o.start({ due, businessDate: businessDateIn(timetable.timezone, due), skipped: missed.length - 1 });
      continue;
    }
    const next = comingStarts(timetable, { from: now, count: 1 })[0];
    const wait = next ? Math.min(lookEveryMs, next.getTime() - now.getTime()) : lookEveryMs;
    await clock.sleep(wait, signal).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  }
}
