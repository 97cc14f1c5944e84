import { type Clock, systemClock } from './clock.ts';
import { abortAt } from './deadline.ts';
import { NightfillError } from './failure.ts';

/** One attempt took longer than it may. */
export class TimeoutError extends NightfillError {
  /** The milliseconds it had. */
  readonly timeout: number;

  constructor({ timeout, cause }: { timeout: number; cause?: unknown }) {
    super({
      code: 'TIMEOUT',
      class: 'transient',
      message: `No complete result came within ${timeout} ms. Try again, or allow more time with "timeout".`,
      cause,
    });
    this.timeout = timeout;
  }
}

export interface TimeoutOptions {
  signal?: AbortSignal;
  clock?: Clock;
}

/**
 * The task's value, when it ends within `ms`. When the time is over the task's signal aborts, its real end is awaited
 * (what it holds, a socket or a slot, is held until then), and a TimeoutError is thrown even if a value came after all.
 * An abort by the caller's own signal is not a timeout: the task ends as it ends.
 */
export async function withTimeout<T>(
  ms: number,
  task: (signal: AbortSignal) => Promise<T>,
  { signal, clock = systemClock }: TimeoutOptions = {},
): Promise<T> {
  signal?.throwIfAborted();
  return abortAt({
    time: clock.now() + ms,
    task,
    signal,
    clock,
    late: (cause) => new TimeoutError({ timeout: ms, cause }),
  });
}
