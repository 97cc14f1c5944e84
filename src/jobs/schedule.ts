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

/** A start that is found later than this was missed: it is more than two looks late. */
const missedAfterMs = 2 * lookEveryMs;

/** How long ago the last start may be that a process which was not up then makes up for: a start per week at least. */
const lookBackMs = 8 * 24 * 3_600_000;

/**
 * Calls `start` whenever the timetable says so, one at a time, until the signal aborts. Of starts that were missed the
 * last is made up for, once; with `catchUp: 'none'` none is, and `passedOver` hears of them. `missing` says whether the
 * start that was due last before this began is still to be made up for.
 */
export async function keepSchedule(
  timetable: Timetable,
  o: {
    start: (start: Start) => Promise<void>;
    catchUp?: 'last' | 'none';
    missing?: (start: Start) => Promise<boolean>;
    passedOver?: (start: Start) => void;
    clock: Clock;
    signal: AbortSignal;
  },
): Promise<void> {
  const { clock, signal, catchUp = 'last' } = o;
  const startOf = (due: Date, skipped: number): Start => ({
    due,
    businessDate: businessDateIn(timetable.timezone, due),
    skipped,
  });
  let handled = new Date(clock.wallNow());
  if (catchUp === 'last' && o.missing) {
    const before = lastStart(timetable, handled);
    const start = before && startOf(before, 0);
    if (start && (await o.missing(start)) && !signal.aborted) await o.start(start);
  }
  while (!signal.aborted) {
    const now = new Date(clock.wallNow());
    const missed = missedStarts(timetable, { after: handled, until: now });
    const due = missed.at(-1);
    if (due) {
      handled = due;
      const start = startOf(due, missed.length - 1);
      if (catchUp === 'none' && now.getTime() - due.getTime() > missedAfterMs) o.passedOver?.(start);
      else await o.start(start);
      continue;
    }
    const next = comingStarts(timetable, { from: now, count: 1 })[0];
    const wait = next ? Math.min(lookEveryMs, next.getTime() - now.getTime()) : lookEveryMs;
    await clock.sleep(wait, signal).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  }
}

/** The start that was due last, by now; undefined when there was none lately. */
export function lastStart(timetable: Timetable, now: Date): Date | undefined {
  return missedStarts(timetable, { after: new Date(now.getTime() - lookBackMs), until: now }).at(-1);
}
