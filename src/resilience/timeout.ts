import { type Clock, systemClock } from './clock.ts';
import { abortAt } from './deadline.ts';
import { NightfillError } from './failure.ts';

/** One attempt took longer than allowed. */
export class TimeoutError extends NightfillError {
  /** Milliseconds allowed. */
  readonly timeout: number;

  constructor({ timeout, cause }: { timeout: number; cause?: unknown }) {
    super({
      code: 'TIMEOUT',
      class: 'transient',
      message: `No complete result within ${timeout} ms. Try again, or allow more time with "timeout".`,
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
 * The task's value, when it ends within `ms`. After that, aborts the task's signal, waits until the task has ended (it may
 * hold a socket or a slot until then), and throws a TimeoutError even if the task still gave a value.
 * An abort by the caller's signal is not a timeout: the task's own result or error is given.
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
    errorAtTime: (cause) => new TimeoutError({ timeout: ms, cause }),
  });
}
