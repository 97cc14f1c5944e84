import { type Clock, systemClock } from './clock.ts';
import { NightfillError } from './failure.ts';
import { LinkedAbort } from './linked-abort.ts';
import { sleepUntil } from './sleep-until.ts';

/** The time until which work had to end has passed. */
export class DeadlineError extends NightfillError {
  /** Monotonic milliseconds, on the clock of whoever set it. */
  readonly deadline: number;

  constructor({ deadline, cause }: { deadline: number; cause?: unknown }) {
    super({
      code: 'DEADLINE_PASSED',
      class: 'transient',
      message: 'The work had to end by its deadline and did not. Start it again with more time.',
      cause,
    });
    this.deadline = deadline;
  }
}

/**
 * The task's value, when it ends before `deadline` (monotonic milliseconds). At the deadline the task's signal aborts;
 * its real end is awaited, and then a DeadlineError is thrown. A task that could only start after it is not started.
 */
export async function withDeadline<T>(
  deadline: number,
  task: (signal: AbortSignal) => Promise<T>,
  { signal, clock = systemClock }: { signal?: AbortSignal; clock?: Clock } = {},
): Promise<T> {
  signal?.throwIfAborted();
  if (clock.now() > deadline) throw new DeadlineError({ deadline });
  return abortAt({ time: deadline, task, signal, clock, late: (cause) => new DeadlineError({ deadline, cause }) });
}

interface AbortAt<T> {
  time: number;
  task: (signal: AbortSignal) => Promise<T>;
  signal: AbortSignal | undefined;
  clock: Clock;
  /** Makes the error to throw; its cause is what the task itself ended with. */
  late: (cause?: unknown) => NightfillError;
}

const ended = new Error('The task has ended; nothing waits for its time any more.');

/** Runs the task and aborts its signal at `time`. Settles only when the task itself has. */
export async function abortAt<T>({ time, task, signal, clock, late }: AbortAt<T>): Promise<T> {
  using linked = new LinkedAbort(signal);
  const timer = new AbortController();
  let reason: NightfillError | undefined;
  const timing =
    time === Infinity
      ? undefined
      : sleepUntil(time, { clock, signal: timer.signal }).then(
          () => {
            if (linked.signal.aborted) return;
            reason = late();
            linked.abort(reason);
          },
          // Only its own timer's abort ends the sleep early.
          () => undefined,
        );
  let outcome: { value: T } | { error: unknown };
  try {
    outcome = { value: await task(linked.signal) };
  } catch (error) {
    outcome = { error };
  }
  timer.abort(ended);
  await timing;
  if (reason) throw 'error' in outcome && outcome.error !== reason ? late(outcome.error) : reason;
  if ('error' in outcome) throw outcome.error;
  return outcome.value;
}
