import { checkedNumber } from './checked-number.ts';
import { type Clock, systemClock } from './clock.ts';
import { NightfillError } from './failure.ts';
import { FailureRate, type FailureRateOptions } from './failure-rate.ts';
import { LinkedAbort } from './linked-abort.ts';
import { sleepUntil } from './sleep-until.ts';

export const breakerStates = ['closed', 'open', 'half-open', 'isolated'] as const;
export type BreakerState = (typeof breakerStates)[number];

export interface CircuitBreakerOptions extends Partial<FailureRateOptions> {
  /** Failures in a row that open it. By default it opens by the failure rate alone; with `failures` alone by them alone. */
  failures?: number;
  /** Milliseconds it stays open before trials are let through. Default: 30 s. */
  openFor?: number;
  /** Calls let through while half-open; their share of failures, against `failureRate`, decides. Default: 5. */
  trials?: number;
  /**
   * Which errors count. One that does not (a 404) was an answer, and so a good sign. By default everything counts but a
   * NightfillError whose class says that time does not mend it. An AbortError says nothing either way.
   */
  countIf?: (error: unknown) => boolean;
  /** Whether an error that does not count came from the other side at all. One that did not says nothing. Default: it did. */
  answered?: (error: unknown) => boolean;
  /** Milliseconds for which the other side asked to be left alone: it stays open that long instead of `openFor`. */
  retryAfter?: (error: unknown) => number | undefined;
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
  /** What the call asks for (a URL): in the failure rate, calls of one name count once per window. */
  name?: string | undefined;
  /** Asked when the call has failed: false when that is no news, because it fails while others do not. Default: it is. */
  evidence?: () => boolean;
}

const always = (): boolean => true;

/** Of failures in a row alone: the share of failed trials that opens it again. */
const half = 0.5;

/**
 * closed: calls pass; a failure rate, or `failures` in a row, open it.
 * open: calls fail at once with BreakerOpenError; after `openFor` the next calls are trials.
 * half-open: `trials` calls at most; it closes, or opens again, as soon as their share of failures is decided.
 * isolated: held open by hand until `reset`.
 * A call begun before the latest change of state says nothing about the state now, and does not count.
 */
export class CircuitBreaker {
  readonly #failures: number;
  readonly #openFor: number;
  readonly #trials: number;
  /** Of the trials. */
  readonly #tooManyFailed: number;
  readonly #rate: FailureRate | undefined;
  readonly #countIf: (error: unknown) => boolean;
  readonly #answered: (error: unknown) => boolean;
  readonly #retryAfter: (error: unknown) => number | undefined;
  readonly #onStateChange: CircuitBreakerOptions['onStateChange'];
  readonly #clock: Clock;
  readonly #waiting = new Set<LinkedAbort>();
  #state: BreakerState = 'closed';
  #opened = 0;
  #retryAt = -Infinity;
  /** Failures in a row while closed. */
  #inRow = 0;
  /** While half-open. */
  #running = 0;
  #goodTrials = 0;
  #badTrials = 0;
  /** Monotonic: the latest time until which a failure asked to wait. */
  #askedUntil = -Infinity;
  /** Counts changes of state, so that late results are known as such. */
  #era = 0;

  constructor(options: CircuitBreakerOptions = {}) {
    const { failureRate, window, minimumCalls, failures, openFor = 30_000, trials = 5, clock = systemClock } = options;
    this.#failures = failures === undefined ? Infinity : checkedNumber(failures, { name: 'failures', least: 1 });
    this.#openFor = checkedNumber(openFor, { name: 'openFor', least: 0 });
    this.#trials = checkedNumber(trials, { name: 'trials', least: 1, whole: true });
    this.#tooManyFailed = Math.max(1, Math.ceil((failureRate ?? half) * this.#trials));
    this.#countIf = options.countIf ?? timeMayMend;
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

  /** An open breaker whose time has come is still `open`: the next call makes it half-open. */
  get state(): BreakerState {
    return this.#state;
  }

  /** Monotonic: when trials may be sent, while it is open; in the past when it is not. */
  get retryAt(): number {
    return this.#state === 'open' ? this.#retryAt : -Infinity;
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
  async execute<T>(
    task: () => Promise<T>,
    { wait = false, name, evidence = always, ...until }: ExecuteOptions = {},
  ): Promise<T> {
    // Again and again: others may take the trial between the waking and the call.
    // oxlint-disable-next-line no-await-in-loop -- other callers may take the trial between the wake-up and this call
    while (wait && this.#opensAt() > this.#clock.now()) await this.whenReady(until);
    if (this.#opensAt() > this.#clock.now()) throw new BreakerOpenError({ retryAt: this.#knownRetryAt() });
    if (this.#state === 'open') this.#become('half-open');
    const isTrial = this.#state === 'half-open';
    if (isTrial) this.#running += 1;
    const era = this.#era;
    try {
      const value = await task();
      if (era === this.#era) this.#good(name);
      return value;
    } catch (error) {
      if (era === this.#era) this.#judge(error, { signal: until.signal, name, evidence });
      throw error;
    } finally {
      if (isTrial && era === this.#era) {
        this.#running -= 1;
        this.#wake();
      }
    }
  }

  /**
   * Resolves when a call may be tried; rejects with BreakerOpenError at once when that is known to lie beyond the
   * deadline, and at the deadline when the trials that others wait for have not ended by then.
   */
  async whenReady({ deadline = Infinity, signal }: WaitOptions = {}): Promise<void> {
    signal?.throwIfAborted();
    for (let at = this.#opensAt(); at > this.#clock.now(); at = this.#opensAt()) {
      const retryAt = this.#knownRetryAt();
      if (retryAt > deadline || this.#clock.now() >= deadline) throw new BreakerOpenError({ retryAt });
      // oxlint-disable-next-line no-await-in-loop -- waits for one change of state after the other
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

  /** When a call may pass, as far as time alone decides; Infinity while trials or a hand hold it. */
  #opensAt(): number {
    switch (this.#state) {
      case 'closed':
        return -Infinity;
      case 'open':
        return this.#retryAt;
      case 'half-open':
        return this.#running + this.#goodTrials + this.#badTrials >= this.#trials ? Infinity : -Infinity;
      case 'isolated':
        return Infinity;
      default:
        return this.#state satisfies never;
    }
  }

  /** While trials run nobody knows; they may end any moment. */
  #knownRetryAt(): number {
    return this.#state === 'half-open' ? this.#clock.now() : this.#opensAt();
  }

  #judge(
    error: unknown,
    o: { signal: AbortSignal | undefined; name: string | undefined; evidence: () => boolean },
  ): void {
    const aborted = o.signal?.aborted || (error instanceof Error && error.name === 'AbortError');
    if (aborted) return;
    if (!this.#countIf(error)) {
      if (this.#answered(error)) this.#good(o.name);
    } else if (o.evidence()) this.#bad(error, o.name);
  }

  #good(name: string | undefined): void {
    if (this.#state === 'half-open') {
      this.#goodTrials += 1;
      if (this.#goodTrials > this.#trials - this.#tooManyFailed) this.#become('closed');
      return;
    }
    this.#inRow = 0;
    this.#rate?.count({ failed: false, name });
  }

  #bad(error: unknown, name: string | undefined): void {
    this.#askedUntil = Math.max(this.#askedUntil, this.#clock.now() + (this.#retryAfter(error) ?? -Infinity));
    if (this.#state === 'half-open') {
      this.#badTrials += 1;
      if (this.#badTrials >= this.#tooManyFailed) this.#open();
      return;
    }
    this.#inRow += 1;
    this.#rate?.count({ failed: true, name });
    if (this.#inRow >= this.#failures || this.#rate?.exceeded) this.#open();
  }

  #open(): void {
    this.#opened += 1;
    const now = this.#clock.now();
    this.#retryAt = this.#askedUntil > now ? this.#askedUntil : now + this.#openFor;
    this.#become('open');
  }

  #become(to: BreakerState): void {
    const from = this.#state;
    this.#state = to;
    this.#era += 1;
    this.#inRow = 0;
    this.#running = 0;
    this.#goodTrials = 0;
    this.#badTrials = 0;
    this.#askedUntil = -Infinity;
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
