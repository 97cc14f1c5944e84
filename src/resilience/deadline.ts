import { type Clock, systemClock } from './clock.ts';
import { NightfillError } from './failure.ts';
import { LinkedAbort } from './linked-abort.ts';
import { sleepUntil } from './sleep-until.ts';

/** Work did not end by its deadline. */
export class DeadlineError extends NightfillError {
  /** Monotonic milliseconds, on the clock of the caller. */
  readonly deadline: number;

  constructor({ deadline, cause }: { deadline: number; cause?: unknown }) {
    super({
      code: 'DEADLINE_PASSED',
      class: 'transient',
      message: 'The work did not end by its deadline. Start it again with more time.',
      cause,
    });
    this.deadline = deadline;
  }
}

/**
 * The task's value, when it ends before `deadline` (monotonic milliseconds). At the deadline, aborts the task's signal,
 * waits until the task has ended, and throws a DeadlineError. Does not start the task when the deadline has passed.
 */
export async function withDeadline<T>(
  deadline: number,
  task: (signal: AbortSignal) => Promise<T>,
  { signal, clock = systemClock }: { signal?: AbortSignal; clock?: Clock } = {},
): Promise<T> {
  signal?.throwIfAborted();
  if (clock.now() > deadline) throw new DeadlineError({ deadline });
  return abortAt({
    time: deadline,
    task,
    signal,
    clock,
    errorAtTime: (cause) => new DeadlineError({ deadline, cause }),
  });
}

interface AbortAt<T> {
  time: number;
  task: (signal: AbortSignal) => Promise<T>;
  signal: AbortSignal | undefined;
  clock: Clock;
  /** Creates the error to throw; `cause` is the task's own error. */
  errorAtTime: (cause?: unknown) => NightfillError;
}

const timerCancelled = new Error('The timer was cancelled because the task has ended.');

/** Runs the task and aborts its signal at `time`. Settles only after the task has. */
export async function abortAt<T>({ time, task, signal, clock, errorAtTime }: AbortAt<T>): Promise<T> {
  using linked = new LinkedAbort(signal);
  const timer = new AbortController();
  let reason: NightfillError | undefined;
  const timing =
    time === Infinity
      ? undefined
      : sleepUntil(time, { clock, signal: timer.signal }).then(
          () => {
            if (linked.signal.aborted) return;
            reason = errorAtTime();
            linked.abort(reason);
          },
          // Only `timer.abort` below cancels the sleep.
          () => undefined,
        );
  let outcome: { value: T } | { error: unknown };
  try {
    outcome = { value: await task(linked.signal) };
  } catch (error) {
    outcome = { error };
  }
  timer.abort(timerCancelled);
  await timing;
  if (reason) throw 'error' in outcome && outcome.error !== reason ? errorAtTime(outcome.error) : reason;
  if ('error' in outcome) throw outcome.error;
  return outcome.value;
}
