import { AdaptiveShare } from './adaptive-share.ts';
import { checkedNumber } from './checked-number.ts';
import { type Clock, systemClock } from './clock.ts';
import { UsageError } from './failure.ts';
import { RateWindow, type SlotUse } from './rate-window.ts';
import { TravelTime } from './travel-time.ts';
import { type AcquireOptions, WaitingLine } from './waiting-line.ts';

/** The right to send one request. Of each method only the first call has an effect. */
export interface Permit {
  /** To be called when the request is written to the socket. Until then, or `release`, the permit counts in every window. */
  sent(): void;
  /**
   * To be called at the first byte of the answer: the window learns the round-trip time. Not to be called for an end
   * without an answer (a reset, a timeout), because a shorter time than any answer takes makes all answers look late.
   */
  answered(): void;
  /** Gives back a permit that was not used. After `sent` it has no effect. */
  release(): void;
}

export interface RollingWindowOptions {
  /** At most `requests` in any interval of `per` milliseconds; all windows apply at once. */
  rates: readonly { requests: number; per: number }[];
  /** Milliseconds a slot stays blocked beyond its window. Default: 5. */
  margin?: number;
  /** By how much the transit time to the server may vary, as a share of each window. Default: 0.1. */
  uplinkSpread?: number;
  clock?: Clock;
}

/**
 * A limiter that keeps "at most N requests in any interval of length W" at the server, not only in this process.
 *
 * A window has N slots. A permit takes one, holds it until its request is sent at s, and the slot then stays blocked until
 * s + W + margin + lateness. If no slot is used twice within W at the server, no interval of W holds more than N.
 * Proof: take a request and the next one that uses its slot, with varying transit times:
 *   the first arrives at    answered - back      (`back`: the server's processing and the transit of the answer)
 *   the next arrives at     t + out              (sent at t; `out`: the transit of the request)
 * They are W apart when t >= answered + W - (out + back). `out + back` is the round-trip time of a request with these two
 * transits; let T be a lower bound of it. Blocking the slot until answered - T + W is therefore enough, and
 * answered - T = s + (ttfb - T) defines lateness: how much later than the fastest request this one may have arrived.
 * T is estimated from the least ttfb seen (TravelTime; the margin covers the error of that estimate).
 * No request arrives later than another by more than the uplink's spread, so lateness is at most `uplinkSpread * W`, and
 * counts as all of that until enough answers have been seen.
 * Not covered: a transit that varies by more than the spread, or suddenly becomes shorter by more than the margin.
 *
 * The time is taken at sent(), not when the permit is granted, because a granted request may wait for a socket.
 */
export class RollingWindow {
  readonly #clock: Clock;
  readonly #travel = new TravelTime();
  readonly #windows: RateWindow[];
  readonly #smallest: number;
  readonly #shortest: RateWindow;
  readonly #share: AdaptiveShare;
  readonly #line: WaitingLine<Permit>;
  #pausedUntil = -Infinity;

  constructor({ rates, margin = 5, uplinkSpread = 0.1, clock = systemClock }: RollingWindowOptions) {
    if (rates.length === 0) throw new UsageError('A rolling window needs at least one rate.', { code: 'NO_RATE' });
    this.#clock = clock;
    this.#windows = rates.map(({ requests, per }) => {
      checkedNumber(requests, { name: 'requests', least: 1 });
      checkedNumber(per, { name: 'per', least: 1 });
      return new RateWindow({ requests: Math.floor(requests), per, margin, uplinkSpread, travel: this.#travel });
    });
    this.#smallest = Math.min(...this.#windows.map(({ requests }) => requests));
    this.#shortest = this.#windows.reduce((one, other) => (other.per < one.per ? other : one));
    this.#share = new AdaptiveShare({ period: this.#shortest.per, clock });
    this.#line = new WaitingLine({ clock, grant: (weight) => this.#grant(weight) });
  }

  /** Milliseconds waited for permits, summed over all waiters. */
  get waitedMs(): number {
    return this.#line.waitedMs;
  }

  /** Number of waiters now. */
  get waiting(): number {
    return this.#line.length;
  }

  /** A permit, as soon as every window allows it. Throws UsageError when the weight can never be granted. */
  async acquire(options: AcquireOptions = {}): Promise<Permit> {
    this.#check(options.weight);
    return this.#line.serveAtOnce(options) ?? this.#line.wait(options);
  }

  /**
   * A permit now, or the least number of milliseconds until one is possible: exact when there are no waiters, everything
   * granted has been sent and answered, and the limit is not lowered. Never overtakes waiters.
   */
  tryAcquire(weight = 1): Permit | { waitMs: number } {
    this.#check(weight);
    const grant = this.#line.length === 0 ? this.#grant(weight) : undefined;
    return typeof grant === 'object' ? grant : { waitMs: Math.max(0, this.#soonest(weight) - this.#clock.now()) };
  }

  /**
   * The earliest monotonic time at which the last of `requests` more could be sent, if all permits went to the caller:
   * ignores other waiters and a halved limit.
   */
  soonest(requests: number): number {
    checkedNumber(requests, { name: 'requests', least: 1, whole: true });
    const now = this.#clock.now();
    const begin = Math.max(now, this.#pausedUntil);
    const times = this.#windows.map((window) => {
      window.free(now);
      // Each slot is used once per window, so the last request waits for full rounds and then for its slot.
      const rounds = Math.floor((requests - 1) / window.limit);
      const busy = window.used + requests - rounds * window.limit - window.limit;
      const due = busy <= 0 ? begin : window.dueFor(busy);
      // A slot granted and not sent yet stays blocked at least as long as one sent now.
      return Math.max(begin, due === Infinity ? now + window.per : due) + rounds * window.per;
    });
    return Math.max(...times);
  }

  /** Grants no permit before the given monotonic time. A longer pause already set stays. */
  pauseUntil(time: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, time);
  }

  /** Rejects the `acquire` of all current waiters with the reason, for example because a pause has become too long. */
  dismiss(reason: unknown): void {
    this.#line.dismiss(reason);
  }

  /**
   * To be called for a rate-limited answer, with or without a time to wait: halves every window's limit, and raises it by
   * a tenth of its ceiling each time the shortest window has passed without another such answer.
   */
  slowDown(): void {
    this.#share.halve();
    this.#line.serveWaiters();
  }

  /** Undoes the latest `slowDown`, because the answer turned out to be about something else. */
  takeBackSlowDown(): void {
    this.#share.restore();
    this.#line.serveWaiters();
  }

  /** The share of the limits that may be used now, in (0, 1]: less than 1 after a rate-limited answer. */
  get slowedDownTo(): number {
    return this.#share.now;
  }

  /** Weight sent within the shortest window, up to the latest request. */
  get recentlySent(): number {
    return this.#shortest.recent;
  }

  /**
   * To be called when the server announces at most `requests` (at least 1) in a window of `per` milliseconds. Permanently
   * lowers every window that is not longer and allows more; never raises one. Leaves a longer window alone, because it
   * contains several of the server's windows. True when a window was lowered.
   */
  lowerTo({ requests, per }: { requests: number; per: number }): boolean {
    checkedNumber(requests, { name: 'requests', least: 1 });
    const limit = Math.floor(requests);
    return this.#windows.map((window) => window.per <= per && window.lower(limit)).includes(true);
  }

  /** Sets the limit of each window, in the order of the rates; never above its original limit. */
  limitTo(limits: readonly number[]): void {
    this.#windows.forEach((window, index) => window.limitTo(limits[index] ?? Infinity));
    this.#line.serveWaiters();
  }

  /** The most weight sent within any half-open interval of each window's length. */
  peaks(): { requests: number; perMs: number; peak: number }[] {
    return this.#windows.map(({ requests, per, peak }) => ({ requests, perMs: per, peak }));
  }

  #check(weight = 1): void {
    if (weight === 1) return;
    checkedNumber(weight, { name: 'weight', least: 1, whole: true });
    if (weight <= this.#smallest) return;
    throw new UsageError(
      `A weight of ${weight} can never be granted: the smallest window allows ${this.#smallest}. Lower the weight or raise the rate.`,
      { code: 'WEIGHT_ABOVE_LIMIT' },
    );
  }

  /** A permit, or the monotonic time to ask again. */
  #grant(weight: number): Permit | number {
    // Reads the clock only when a wait is needed, because most calls find an idle window.
    if (this.#pausedUntil > -Infinity && this.#clock.now() < this.#pausedUntil) return this.#pausedUntil;
    const share = this.#share.now;
    let askAgain = -Infinity;
    for (const window of this.#windows) {
      const most = limitOf(window, { share, weight });
      if (window.used + weight <= most) continue;
      window.free(this.#clock.now());
      if (window.used + weight <= most) continue;
      askAgain = Math.max(askAgain, Math.min(window.nextDue(), this.#share.nextStep));
    }
    if (askAgain > -Infinity) return askAgain;
    for (const window of this.#windows) window.grant(weight);
    return new WindowPermit(weight, this.#callbacks);
  }

  /** Monotonic time before which the weight cannot be granted. */
  #soonest(weight: number): number {
    const now = this.#clock.now();
    const share = this.#share.now;
    let soonest = Math.max(this.#pausedUntil, this.#line.nextTurn);
    for (const window of this.#windows) {
      window.free(now);
      const missing = window.used + weight - limitOf(window, { share, weight });
      if (missing <= 0) continue;
      const due = window.dueFor(missing);
      // A slot granted and not sent yet stays blocked at least as long as one sent now.
      soonest = Math.max(soonest, Math.min(due === Infinity ? now + window.per : due, this.#share.nextStep));
    }
    return soonest;
  }

  /** What permits call. One object shared by all permits, because there are many. */
  readonly #callbacks: PermitCallbacks = {
    send: (weight) => {
      const now = this.#clock.now();
      const resting = this.#windows.map((window) => window.send(weight, now));
      this.#line.serveWaiters();
      return resting;
    },
    answer: (resting) => {
      const now = this.#clock.now();
      const [first] = resting;
      if (first) this.#travel.observe(now - first.sentAt);
      for (const share of resting) share.window.answer(share, now);
      this.#line.serveWaiters();
    },
    giveBack: (weight) => {
      for (const window of this.#windows) window.giveBack(weight);
      this.#line.serveWaiters();
    },
  };
}

/** Whole requests; at least `weight`, so that a weight above a lowered limit passes when the window is empty. */
function limitOf(window: RateWindow, { share, weight }: { share: number; weight: number }): number {
  return Math.max(weight, Math.floor(window.limit * share));
}

interface PermitCallbacks {
  send(weight: number): SlotUse[];
  answer(resting: SlotUse[]): void;
  giveBack(weight: number): void;
}

class WindowPermit implements Permit {
  readonly #weight: number;
  readonly #callbacks: PermitCallbacks;
  #state: 'granted' | 'sent' | 'ended' = 'granted';
  #resting: SlotUse[] | undefined;

  constructor(weight: number, desk: PermitCallbacks) {
    this.#weight = weight;
    this.#callbacks = desk;
  }

  sent(): void {
    if (this.#state !== 'granted') return;
    this.#state = 'sent';
    this.#resting = this.#callbacks.send(this.#weight);
  }

  answered(): void {
    // The caller did not call `sent`: assume now, the latest possible time, and do not measure a round trip.
    if (this.#state === 'granted') {
      this.sent();
      this.#state = 'ended';
    }
    if (this.#state !== 'sent') return;
    this.#state = 'ended';
    this.#callbacks.answer(this.#resting!);
  }

  release(): void {
    if (this.#state === 'granted') this.#callbacks.giveBack(this.#weight);
    this.#state = 'ended';
  }
}
