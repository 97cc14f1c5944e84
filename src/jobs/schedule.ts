import { Cron } from 'croner';
import type { Clock } from '../resilience/clock.ts';
import { businessDateIn } from './business-date.ts';

export interface Timetable {
  /** Five cron fields. */
  schedule: string;
  timezone: string;
}

/** The next `count` starts after `from`. A time that clocks skip in spring moves to the next valid time; one that they repeat in autumn comes once. */
export function comingStarts(
  { schedule, timezone }: Timetable,
  { from, count }: { from: Date; count: number },
): Date[] {
  return new Cron(schedule, { timezone, paused: true }).nextRuns(count, from);
}

/** The starts in the interval (after, until]. */
export function missedStarts(timetable: Timetable, { after, until }: { after: Date; until: Date }): Date[] {
  const starts: Date[] = [];
  const cron = new Cron(timetable.schedule, { timezone: timetable.timezone, paused: true });
  for (let start = cron.nextRun(after); start && start <= until; start = cron.nextRun(start)) starts.push(start);
  return starts;
}

export interface Start {
  /** When it was due. */
  due: Date;
  /** The date on which it was due, even if it begins later. */
  businessDate: string;
  /** Number of earlier starts missed while the machine slept or the previous run was running; they are not caught up. */
  skipped: number;
}

// The wall clock is read this often, because timers stop while a machine sleeps, and clocks may be set.
const lookEveryMs = 30_000;

/** A start that is noticed later than this was missed, because two readings of the clock should have shown it. */
const missedAfterMs = 2 * lookEveryMs;

/** The wall clock counts as set back when it is this far behind; less is an ordinary correction. */
const setBackMs = 60_000;

/** The latest starts are remembered, so that none is repeated when the clock is set back. */
const rememberedStarts = 1_000;

/** Greatest age of a missed start that is still caught up when this process starts; enough for weekly schedules. */
const lookBackMs = 8 * 24 * 3_600_000;

/**
 * Calls `start` at each start of the timetable, one at a time, until the signal aborts. Only the last of several missed
 * starts is caught up; with `catchUp: 'none'` none is, and `passedOver` is called instead. `missing` says whether the last
 * start that was due before this call still has to be caught up.
 *
 * When the wall clock is set back, the next starts are computed again and `setBack` is called. A start that has already
 * begun is not repeated; `repeated` is called instead.
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
  // Only the ledger knows whether the night of the last start is missing.
  const catchUpLast = async (now: Date): Promise<void> => {
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
  await catchUpLast(handled);
  while (!signal.aborted) {
    const now = new Date(clock.wallNow());
    const byMs = looked.wall + (clock.now() - looked.at) - now.getTime();
    looked = { wall: now.getTime(), at: clock.now() };
    if (handled > now) {
      // Without this, no start would be due until the clock reaches its earlier time again.
      handled = now;
      next = undefined;
    }
    if (byMs > setBackMs) {
      o.setBack?.({ byMs, next: nextAfter(now) });
      // oxlint-disable-next-line no-await-in-loop -- each round waits for the next start
      await catchUpLast(now);
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

/** The last start that was due by `now`; undefined when there was none in the last 8 days. */
function lastStart(timetable: Timetable, now: Date): Date | undefined {
  return missedStarts(timetable, { after: new Date(now.getTime() - lookBackMs), until: now }).at(-1);
}
