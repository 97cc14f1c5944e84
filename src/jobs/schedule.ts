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

/** The wall clock is taken to have been set back when it shows so much less than it should; what is less is a correction. */
const setBackMs = 60_000;

/** So many starts are remembered, so that none is repeated when the clock is set back. */
const rememberedStarts = 1_000;

/** How long ago the last start may be that a process which was not up then makes up for: a start per week at least. */
const lookBackMs = 8 * 24 * 3_600_000;

/**
 * Calls `start` whenever the timetable says so, one at a time, until the signal aborts. Of starts that were missed the
 * last is made up for, once; with `catchUp: 'none'` none is, and `passedOver` hears of them. `missing` says whether the
 * start that was due last before this began is still to be made up for.
 *
 * When the wall clock is set back, the starts that are still to come by it are planned anew, and `setBack` hears of it;
 * one that was begun already is not begun again, and `repeated` hears of that.
 */
export async function keepSchedule(
  timetable: Timetable,
  o: {
    start: (start: Start) => Promise<void>;
    catchUp?: 'last' | 'none';
    missing?: (start: Start) => Promise<boolean>;
    passedOver?: (start: Start) => void;
    setBack?: (step: { byMs: number; next: Date | undefined }) => void;
    repeated?: (start: Start) => void;
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
  const begun: number[] = [];
  const begin = async (start: Start): Promise<void> => {
    begun.push(start.due.getTime());
    if (begun.length > rememberedStarts) begun.shift();
    await o.start(start);
  };
  // Of the starts due by now, the last: whether it is missing is known only to the ledger.
  const makeUp = async (now: Date): Promise<void> => {
    if (catchUp !== 'last' || !o.missing) return;
    const due = lastStart(timetable, now);
    if (!due || begun.includes(due.getTime())) return;
    const start = startOf(due, 0);
    if ((await o.missing(start)) && !signal.aborted) await begin(start);
  };
  const nextAfter = (from: Date): Date | undefined => comingStarts(timetable, { from, count: 1 })[0];

  let handled = new Date(clock.wallNow());
  let looked = { wall: clock.wallNow(), at: clock.now() };
  let next: Date | undefined;
  await makeUp(handled);
  while (!signal.aborted) {
    const now = new Date(clock.wallNow());
    const byMs = looked.wall + (clock.now() - looked.at) - now.getTime();
    looked = { wall: now.getTime(), at: clock.now() };
    if (handled > now) {
      // Else nothing would be due before the clock has caught up with what it once showed.
      handled = now;
      next = undefined;
    }
    if (byMs > setBackMs) {
      o.setBack?.({ byMs, next: nextAfter(now) });
      // oxlint-disable-next-line no-await-in-loop -- each round waits for the next start
      await makeUp(now);
    }
    next ??= nextAfter(handled);
    if (next && next <= now) {
      const passed = missedStarts(timetable, { after: handled, until: now });
      const missed = passed.filter((start) => !begun.includes(start.getTime()));
      for (const start of passed) if (!missed.includes(start)) o.repeated?.(startOf(start, 0));
      handled = passed.at(-1) ?? now;
      next = undefined;
      const due = missed.at(-1);
      if (!due) continue;
      const start = startOf(due, missed.length - 1);
      if (catchUp === 'none' && now.getTime() - due.getTime() > missedAfterMs) o.passedOver?.(start);
      // oxlint-disable-next-line no-await-in-loop -- each round waits for the next start
      else await begin(start);
      continue;
    }
    const wait = next ? Math.min(lookEveryMs, next.getTime() - now.getTime()) : lookEveryMs;
    // oxlint-disable-next-line no-await-in-loop -- each round waits for the next start
    await clock.sleep(wait, signal).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  }
}

/** The start that was due last, by now; undefined when there was none lately. */
export function lastStart(timetable: Timetable, now: Date): Date | undefined {
  return missedStarts(timetable, { after: new Date(now.getTime() - lookBackMs), until: now }).at(-1);
}
