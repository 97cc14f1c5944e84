import { checkedNumber } from './checked-number.ts';
import { type Clock, systemClock } from './clock.ts';
import { isTransient, NightfillError } from './failure.ts';
import { FailureRate, type FailureRateOptions } from './failure-rate.ts';
import { LinkedAbort } from './linked-abort.ts';
import { sleepUntil } from './sleep-until.ts';

export const breakerStates = ['closed', 'open', 'half-open', 'isolated'] as const;
export type BreakerState = (typeof breakerStates)[number];

export interface CircuitBreakerOptions extends Partial<FailureRateOptions> {
  /** Consecutive failures that open it. Default: only the failure rate opens it; with `failures` alone, only these do. */
  failures?: number;
  /** Milliseconds it stays open before it lets trials through. Default: 30 s. */
  openFor?: number;
  /** Calls let through while half-open; it closes unless their share of failures reaches `failureRate`. Default: 5. */
  trials?: number;
  /**
   * Which errors count as failures. Other errors (a 404) are answers and count as successes. Default: all errors except a
   * NightfillError whose class is not `transient`. An AbortError counts as neither.
   */
  countIf?: (error: unknown) => boolean;
  /** Whether an error that is not a failure came from the server. If not, it counts as neither. Default: it did. */
  answered?: (error: unknown) => boolean;
  /** Milliseconds the server asked to wait: the breaker stays open that long instead of `openFor`. */
  retryAfter?: (error: unknown) => number | undefined;
  /** Called after a change of state; must not throw. */
  onStateChange?: (from: BreakerState, to: BreakerState) => void;
  clock?: Clock;
}

/** The breaker is open, so the call was not made. */
export class BreakerOpenError extends NightfillError {
  /** Monotonic milliseconds: the earliest time a call may be tried. Infinity while it is isolated. */
  readonly retryAt: number;

  constructor({ retryAt }: { retryAt: number }) {
    super({
      code: 'BREAKER_OPEN',
      class: 'transient',
      message: 'The circuit breaker is open because too many calls failed. Try again later.',
    });
    this.retryAt = retryAt;
  }
}

export interface WaitOptions {
  /** Monotonic milliseconds. */
  deadline?: number | undefined;
  signal?: AbortSignal | undefined;
}

export interface ExecuteOptions extends WaitOptions {
  /** Whether to wait for an open breaker instead of failing at once. */
  wait?: boolean;
  /** Identifies what the call asks for (a URL): in the failure rate, failed calls of one name count once per window. */
  name?: string | undefined;
  /** Called when the call has failed: false when the failure should not count, because other calls succeed. Default: true. */
  evidence?: () => boolean;
}

const always = (): boolean => true;

/** The share of failed trials that opens the breaker again when no failure rate is given. */
const defaultTrialFailureRate = 0.5;

/**
 * closed: calls pass; the failure rate, or `failures` in a row, opens it.
 * open: calls fail at once with BreakerOpenError; after `openFor` the next calls are trials.
 * half-open: at most `trials` calls pass; it closes, or opens again, as soon as their share of failures is decided.
 * isolated: held open by the caller until `reset`.
 * The result of a call that started before the latest change of state does not count.
 */
export class CircuitBreaker {
  readonly #failures: number;
  readonly #openFor: number;
  readonly #trials: number;
  /** This many failed trials open it again. */
  readonly #failedTrialsToOpen: number;
  readonly #rate: FailureRate | undefined;
  readonly #countIf: (error: unknown) => boolean;
  readonly #answered: (error: unknown) => boolean;
  readonly #retryAfter: (error: unknown) => number | undefined;
  readonly #onStateChange: CircuitBreakerOptions['onStateChange'];
  readonly #clock: Clock;
  readonly #waiters = new Set<LinkedAbort>();
  #state: BreakerState = 'closed';
  #opened = 0;
  #retryAt = -Infinity;
  /** Consecutive failures while closed. */
  #failuresInRow = 0;
  /** Running trials, while half-open. */
  #runningTrials = 0;
  #succeededTrials = 0;
  #failedTrials = 0;
  /** Monotonic: the latest time until which a failed call's server asked to wait. */
  #askedUntil = -Infinity;
  /** Number of changes of state, to recognize results of earlier calls. */
  #stateVersion = 0;

  constructor(options: CircuitBreakerOptions = {}) {
    const { failureRate, window, minimumCalls, failures, openFor = 30_000, trials = 5, clock = systemClock } = options;
    this.#failures = failures === undefined ? Infinity : checkedNumber(failures, { name: 'failures', least: 1 });
    this.#openFor = checkedNumber(openFor, { name: 'openFor', least: 0 });
    this.#trials = checkedNumber(trials, { name: 'trials', least: 1, whole: true });
    this.#failedTrialsToOpen = Math.max(1, Math.ceil((failureRate ?? defaultTrialFailureRate) * this.#trials));
    this.#countIf = options.countIf ?? isTransient;
    this.#answered = options.answered ?? (() => true);
    this.#retryAfter = options.retryAfter ?? (() => undefined);
    this.#onStateChange = options.onStateChange;
    this.#clock = clock;
    const byRate = failureRate !== undefined || window !== undefined || minimumCalls !== undefined;
    if (byRate || failures === undefined)
      this.#rate = new FailureRate({
        ...(failureRate !== undefined && { failureRate }),
        ...(window !== undefined && { window }),
        ...(minimumCalls !== undefined && { minimumCalls }),
        clock,
      });
  }

  /** Stays `open` after `openFor` has passed: the next call makes it half-open. */
  get state(): BreakerState {
    return this.#state;
  }

  /** Monotonic: when trials may start, while open; otherwise minus Infinity. */
  get retryAt(): number {
    return this.#state === 'open' ? this.#retryAt : -Infinity;
  }

  /** How often it has opened. */
  get opened(): number {
    return this.#opened;
  }

  /**
   * Runs the task and gives its result; throws BreakerOpenError without running it when the breaker is open. With `wait`
   * it waits until the call may pass, and throws BreakerOpenError only when that is later than the deadline. A task that
   * fails after `signal` has aborted does not count.
   */
  async execute<T>(
    task: () => Promise<T>,
    { wait = false, name, evidence = always, ...until }: ExecuteOptions = {},
  ): Promise<T> {
    // oxlint-disable-next-line no-await-in-loop -- other callers may take the trial between the wake-up and this call
    while (wait && this.#passableAt() > this.#clock.now()) await this.whenReady(until);
    if (this.#passableAt() > this.#clock.now()) throw new BreakerOpenError({ retryAt: this.#knownRetryAt() });
    if (this.#state === 'open') this.#changeTo('half-open');
    const isTrial = this.#state === 'half-open';
    if (isTrial) this.#runningTrials += 1;
    const stateVersion = this.#stateVersion;
    try {
      const value = await task();
      if (stateVersion === this.#stateVersion) this.#countSuccess(name);
      return value;
    } catch (error) {
      if (stateVersion === this.#stateVersion) this.#countError(error, { signal: until.signal, name, evidence });
      throw error;
    } finally {
      if (isTrial && stateVersion === this.#stateVersion) {
        this.#runningTrials -= 1;
        this.#wakeWaiters();
      }
    }
  }

  /**
   * Resolves when a call may be tried. Rejects with BreakerOpenError at once when that is known to be later than the
   * deadline, and at the deadline when the running trials have not ended by then.
   */
  async whenReady({ deadline = Infinity, signal }: WaitOptions = {}): Promise<void> {
    signal?.throwIfAborted();
    for (let at = this.#passableAt(); at > this.#clock.now(); at = this.#passableAt()) {
      const retryAt = this.#knownRetryAt();
      if (retryAt > deadline || this.#clock.now() >= deadline) throw new BreakerOpenError({ retryAt });
      // oxlint-disable-next-line no-await-in-loop -- waits for one change of state after the other
      await this.#waitForChange(Math.min(at, deadline), signal);
    }
  }

  /** Closes it and clears its counts. */
  reset(): void {
    this.#changeTo('closed');
  }

  /** Holds it open until `reset`. */
  isolate(): void {
    this.#changeTo('isolated');
  }

  /** When a call may pass; Infinity while that depends on running trials or on `reset`. */
  #passableAt(): number {
    switch (this.#state) {
      case 'closed':
        return -Infinity;
      case 'open':
        return this.#retryAt;
      case 'half-open':
        return this.#runningTrials + this.#succeededTrials + this.#failedTrials >= this.#trials ? Infinity : -Infinity;
      case 'isolated':
        return Infinity;
      default:
        return this.#state satisfies never;
    }
  }

  /** Now while trials run, because they may end at any moment. */
  #knownRetryAt(): number {
    return this.#state === 'half-open' ? this.#clock.now() : this.#passableAt();
  }

  #countError(
    error: unknown,
    o: { signal: AbortSignal | undefined; name: string | undefined; evidence: () => boolean },
  ): void {
    const aborted = o.signal?.aborted || (error instanceof Error && error.name === 'AbortError');
    if (aborted) return;
    if (!this.#countIf(error)) {
      if (this.#answered(error)) this.#countSuccess(o.name);
    } else if (o.evidence()) this.#countFailure(error, o.name);
  }

  #countSuccess(name: string | undefined): void {
    if (this.#state === 'half-open') {
      this.#succeededTrials += 1;
      if (this.#succeededTrials > this.#trials - this.#failedTrialsToOpen) this.#changeTo('closed');
      return;
    }
    this.#failuresInRow = 0;
    this.#rate?.count({ failed: false, name });
  }

  #countFailure(error: unknown, name: string | undefined): void {
    this.#askedUntil = Math.max(this.#askedUntil, this.#clock.now() + (this.#retryAfter(error) ?? -Infinity));
    if (this.#state === 'half-open') {
      this.#failedTrials += 1;
      if (this.#failedTrials >= this.#failedTrialsToOpen) this.#open();
      return;
    }
    this.#failuresInRow += 1;
    this.#rate?.count({ failed: true, name });
    if (this.#failuresInRow >= this.#failures || this.#rate?.exceeded) this.#open();
  }

  #open(): void {
    this.#opened += 1;
    const now = this.#clock.now();
    this.#retryAt = this.#askedUntil > now ? this.#askedUntil : now + this.#openFor;
    this.#changeTo('open');
  }

  #changeTo(to: BreakerState): void {
    const from = this.#state;
    this.#state = to;
    this.#stateVersion += 1;
    this.#failuresInRow = 0;
    this.#runningTrials = 0;
    this.#succeededTrials = 0;
    this.#failedTrials = 0;
    this.#askedUntil = -Infinity;
    this.#rate?.clear();
    this.#wakeWaiters();
    if (from !== to) this.#onStateChange?.(from, to);
  }

  async #waitForChange(time: number, signal: AbortSignal | undefined): Promise<void> {
    using waiter = new LinkedAbort(signal);
    this.#waiters.add(waiter);
    try {
      await sleepUntil(time, { clock: this.#clock, signal: waiter.signal });
    } catch (error) {
      if (error !== stateChanged) throw error;
    } finally {
      this.#waiters.delete(waiter);
    }
  }

  #wakeWaiters(): void {
    for (const waiter of this.#waiters) waiter.abort(stateChanged);
  }
}

const stateChanged = new Error('The breaker changed its state.');
