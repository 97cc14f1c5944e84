import { checkedNumber } from './checked-number.ts';
import { type Clock, systemClock } from './clock.ts';
import { NightfillError } from './failure.ts';
import { FailureRate, type FailureRateOptions } from './failure-rate.ts';
import { LinkedAbort } from './linked-abort.ts';
import { sleepUntil } from './sleep-until.ts';

export const breakerStates = ['closed', 'open', 'half-open', 'isolated'] as const;
export type BreakerState = (typeof breakerStates)[number];

export interface CircuitBreakerOptions extends Partial<FailureRateOptions> {
  /** Failures in a row that open it. Default: 5; with a `failureRate` any number. */
  failures?: number;
  /** Milliseconds it stays open before a trial is let through. Default: 30 s. */
  openFor?: number;
  /** Good trials in a row that close it. Default: 2. */
  successes?: number;
  /**
   * Which errors count. One that does not (a 404) was an answer, and so a good sign. By default everything counts but a
   * NightfillError whose class says that time does not mend it. An AbortError says nothing either way.
   */
  countIf?: (error: unknown) => boolean;
  /** Told after the change; must not throw. */
  onStateChange?: (from: BreakerState, to: BreakerState) => void;
  clock?: Clock;
}

/** The breaker lets no call through now. */
export class BreakerOpenError extends NightfillError {
  /** Monotonic milliseconds: the earliest time a call may be tried. Infinity while it is held open by hand. */
  readonly retryAt: number;

  constructor({ retryAt }: { retryAt: number }) {
    super({
      code: 'BREAKER_OPEN',
      class: 'transient',
      message: 'The circuit breaker is open: too many calls failed, and no other is sent for now. Try again later.',
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
  /** Whether to wait for an open breaker rather than fail at once. */
  wait?: boolean;
}

/**
 * closed: calls pass; `failures` in a row, or a failure rate, open it.
 * open: calls fail at once with BreakerOpenError; after `openFor` the next call is a trial.
 * half-open: one trial at a time; `successes` good ones close it, a bad one opens it again.
 * isolated: held open by hand until `reset`.
 * A call begun before the latest change of state says nothing about the state now, and does not count.
 */
export class CircuitBreaker {
  readonly #failures: number;
  readonly #openFor: number;
  readonly #successes: number;
  readonly #rate: FailureRate | undefined;
  readonly #countIf: (error: unknown) => boolean;
  readonly #onStateChange: CircuitBreakerOptions['onStateChange'];
  readonly #clock: Clock;
  readonly #waiting = new Set<LinkedAbort>();
  #state: BreakerState = 'closed';
  #opened = 0;
  #retryAt = -Infinity;
  /** Failures in a row while closed, good trials in a row while half-open. */
  #inRow = 0;
  #trial = false;
  /** Counts changes of state, so that late results are known as such. */
  #era = 0;

  constructor(options: CircuitBreakerOptions = {}) {
    const { failureRate, samplingWindow, minimumCalls, clock = systemClock } = options;
    const { failures = failureRate === undefined ? 5 : Infinity, openFor = 30_000, successes = 2 } = options;
    this.#failures = checkedNumber(failures, { name: 'failures', least: 1 });
    this.#openFor = checkedNumber(openFor, { name: 'openFor', least: 0 });
    this.#successes = checkedNumber(successes, { name: 'successes', least: 1 });
    this.#countIf = options.countIf ?? timeMayMend;
    this.#onStateChange = options.onStateChange;
    this.#clock = clock;
    if (failureRate !== undefined || samplingWindow !== undefined || minimumCalls !== undefined)
      this.#rate = new FailureRate({ failureRate, samplingWindow, minimumCalls, clock });
  }

  /** An open breaker whose time has come is still `open`: the next call makes it half-open. */
  get state(): BreakerState {
    return this.#state;
  }

  /** How often it has opened. */
  get opened(): number {
    return this.#opened;
  }

  /**
   * The task's own result, or a BreakerOpenError without running it. With `wait` the call waits until it may pass, and
   * the BreakerOpenError comes only when that lies beyond the deadline. A task that fails after `signal` has aborted
   * says nothing about the other side, and does not count.
   */
  async execute<T>(task: () => Promise<T>, { wait = false, ...until }: ExecuteOptions = {}): Promise<T> {
    // Again and again: others may take the trial between the waking and the call.
    while (wait && this.#opensAt() > this.#clock.now()) await this.whenReady(until);
    if (this.#opensAt() > this.#clock.now()) throw new BreakerOpenError({ retryAt: this.#knownRetryAt() });
    if (this.#state === 'open') this.#become('half-open');
    const isTrial = this.#state === 'half-open';
    this.#trial = isTrial;
    const era = this.#era;
    try {
      const value = await task();
      if (era === this.#era) this.#good();
      return value;
    } catch (error) {
      if (era === this.#era) this.#judge(error, until.signal);
      throw error;
    } finally {
      if (isTrial && era === this.#era) {
        this.#trial = false;
        this.#wake();
      }
    }
  }

  /**
   * Resolves when a call may be tried; rejects with BreakerOpenError at once when that is known to lie beyond the
   * deadline, and at the deadline when the trial others wait for has not ended by then.
   */
  async whenReady({ deadline = Infinity, signal }: WaitOptions = {}): Promise<void> {
    signal?.throwIfAborted();
    for (let at = this.#opensAt(); at > this.#clock.now(); at = this.#opensAt()) {
      const retryAt = this.#knownRetryAt();
      if (retryAt > deadline || this.#clock.now() >= deadline) throw new BreakerOpenError({ retryAt });
      await this.#changeOr(Math.min(at, deadline), signal);
    }
  }

  /** Closes it and forgets what it has counted. */
  reset(): void {
    this.#become('closed');
  }

  /** Holds it open until `reset`. */
  isolate(): void {
    this.#become('isolated');
  }

  /** When a call may pass, as far as time alone decides; Infinity while a trial or a hand holds it. */
  #opensAt(): number {
    switch (this.#state) {
      case 'closed':
        return -Infinity;
      case 'open':
        return this.#retryAt;
      case 'half-open':
        return this.#trial ? Infinity : -Infinity;
      case 'isolated':
        return Infinity;
      default:
        return this.#state satisfies never;
    }
  }

  /** While a trial runs nobody knows; it may end any moment. */
  #knownRetryAt(): number {
    return this.#state === 'half-open' ? this.#clock.now() : this.#opensAt();
  }

  #judge(error: unknown, signal: AbortSignal | undefined): void {
    const aborted = signal?.aborted || (error instanceof Error && error.name === 'AbortError');
    if (aborted) return;
    if (this.#countIf(error)) this.#bad();
    else this.#good();
  }

  #good(): void {
    if (this.#state === 'half-open') {
      this.#inRow += 1;
      if (this.#inRow >= this.#successes) this.#become('closed');
      return;
    }
    this.#inRow = 0;
    this.#rate?.count({ failed: false });
  }

  #bad(): void {
    if (this.#state === 'half-open') return this.#open();
    this.#inRow += 1;
    this.#rate?.count({ failed: true });
    if (this.#inRow >= this.#failures || this.#rate?.exceeded) this.#open();
  }

  #open(): void {
    this.#opened += 1;
    this.#retryAt = this.#clock.now() + this.#openFor;
    this.#become('open');
  }

  #become(to: BreakerState): void {
    const from = this.#state;
    this.#state = to;
    this.#era += 1;
    this.#inRow = 0;
    this.#trial = false;
    this.#rate?.clear();
    this.#wake();
    if (from !== to) this.#onStateChange?.(from, to);
  }

  async #changeOr(time: number, signal: AbortSignal | undefined): Promise<void> {
    using waiter = new LinkedAbort(signal);
    this.#waiting.add(waiter);
    try {
      await sleepUntil(time, { clock: this.#clock, signal: waiter.signal });
    } catch (error) {
      if (error !== changed) throw error;
    } finally {
      this.#waiting.delete(waiter);
    }
  }

  #wake(): void {
    for (const waiter of this.#waiting) waiter.abort(changed);
  }
}

const changed = new Error('The breaker has changed.');

function timeMayMend(error: unknown): boolean {
  return !(error instanceof NightfillError) || error.class === 'transient';
}
