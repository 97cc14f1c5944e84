import { AdaptiveShare } from './adaptive-share.ts';
import { checkedNumber } from './checked-number.ts';
import { type Clock, systemClock } from './clock.ts';
import { UsageError } from './failure.ts';
import { RateWindow, type Resting } from './rate-window.ts';
import { TravelTime } from './travel-time.ts';
import { type AcquireOptions, WaitingLine } from './waiting-line.ts';

/** The right to send one request. Each call counts once; later ones change nothing. */
export interface Permit {
  /** The request is being written to the socket now. Until then, or `release`, the permit counts in every window. */
  sent(): void;
  /**
   * The first byte of the answer is here: the window learns how long the way was. Not to be called for an end without an
   * answer (a reset, a timeout): it may have come sooner than any answer could, and would make all others look late.
   */
  answered(): void;
  /** It was never sent: gives the permit back. After `sent` it changes nothing. */
  release(): void;
}

export interface RollingWindowOptions {
  /** At most `requests` in any interval of `per` milliseconds; all windows hold at once. */
  rates: readonly { requests: number; per: number }[];
  /** Milliseconds every permit rests longer than its window. */
  margin?: number;
  /** By how much the way to the server may vary, as a share of each window. */
  uplinkSpread?: number;
  clock?: Clock;
}

/**
 * A limiter that keeps "at most N requests in any interval of length W" at the server, not only here.
 *
 * A window has N slots. A permit takes one, holds it until its request is sent at s, and then lets it rest until
 * s + W + margin + lateness. If no slot is used twice within W at the server, no interval of W holds more than N.
 * So take a request and the one that uses its slot next, and let both ways out vary:
 *   the first arrives at    answered - back      (`back`: the server's time and the way home)
 *   the next arrives at     t + out              (sent at t, on the way for `out`)
 * They are W apart when t >= answered + W - (out + back). `out + back` is how long a request with that way out and that
 * way home takes; call T a time it does not fall below. Resting until answered - T + W keeps the promise, and
 * answered - T = s + (ttfb - T) is what lateness means: how much later than the swiftest this one can have arrived.
 * T is learnt from the least ttfb seen (TravelTime; the margin covers what the least seen is above the least possible).
 * Whatever the answer says, no request arrives more than the uplink's spread later than another, so lateness never
 * counts for more than `uplinkSpread * W`, and counts for all of that until enough answers have been seen.
 * Not covered: a way out that varies by more than the spread, or becomes shorter by more than the margin all at once.
 *
 * Stamping at sent() and not when the permit is granted matters: a granted request may wait for a socket.
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
    this.#share = new AdaptiveShare({ quiet: this.#shortest.per, clock });
    this.#line = new WaitingLine({ clock, grant: (weight) => this.#grant(weight) });
  }

  /** Total milliseconds permits were waited for. */
  get waitedMs(): number {
    return this.#line.waitedMs;
  }

  /** How many wait now. */
  get waiting(): number {
    return this.#line.length;
  }

  /** A permit, as soon as every window allows it. A UsageError at once when the weight can never be granted. */
  async acquire(options: AcquireOptions = {}): Promise<Permit> {
    this.#check(options.weight);
    return this.#line.serveAtOnce(options) ?? this.#line.wait(options);
  }

  /**
   * A permit now, or the milliseconds until one is possible at the soonest: exact when nobody waits, everything granted
   * has been sent and answered, and the limit is not lowered. Never overtakes those who wait.
   */
  tryAcquire(weight = 1): Permit | { waitMs: number } {
    this.#check(weight);
    const grant = this.#line.length === 0 ? this.#grant(weight) : undefined;
    return typeof grant === 'object' ? grant : { waitMs: Math.max(0, this.#soonest(weight) - this.#clock.now()) };
  }

  /**
   * The monotonic time at which the last of `requests` more could be sent at the soonest, were all of them for the
   * caller: those in front of it and a halved limit are not looked at.
   */
  soonest(requests: number): number {
    checkedNumber(requests, { name: 'requests', least: 1, whole: true });
    const now = this.#clock.now();
    const begin = Math.max(now, this.#pausedUntil);
    const times = this.#windows.map((window) => {
      window.free(now);
      // A slot is used once in each window's length, so the last request waits for full rounds and then for its slot.
      const rounds = Math.floor((requests - 1) / window.limit);
      const busy = window.used + requests - rounds * window.limit - window.limit;
      const due = busy <= 0 ? begin : window.dueFor(busy);
      // What is granted and not sent cannot rest sooner than if it were sent now.
      return Math.max(begin, due === Infinity ? now + window.per : due) + rounds * window.per;
    });
    return Math.max(...times);
  }

  /** Nobody gets a permit before the given monotonic time. An earlier pause that lasts longer stays. */
  pauseUntil(time: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, time);
  }

  /** Sends everyone who waits now away: their `acquire` rejects with the reason. For a pause that nobody should sit out. */
  dismiss(reason: unknown): void {
    this.#line.dismiss(reason);
  }

  /**
   * To be called for a rate-limited answer, whether or not it named a time: every window's limit halves, and climbs back
   * by a tenth of its ceiling each time the shortest window has passed without another such answer.
   */
  slowDown(): void {
    this.#share.halve();
    this.#line.poke();
  }

  /** The latest rate-limited answer was about something else: what `slowDown` did for it is taken back. */
  takeBackSlowDown(): void {
    this.#share.restore();
    this.#line.poke();
  }

  /** The share of its limits that is used now, in (0, 1]: less than 1 after a rate-limited answer. */
  get slowedDownTo(): number {
    return this.#share.now;
  }

  /** Weight sent within the shortest window, as of the latest that was sent. */
  get recentlySent(): number {
    return this.#shortest.recent;
  }

  /**
   * To be called when the server says that it allows `requests` (1 at least) in a window of `per` milliseconds. Lowers,
   * for good, every window that is not longer and allows more; never raises one. A longer window may hold many of the
   * server's, so nothing follows for it. True when something was lowered.
   */
  lowerTo({ requests, per }: { requests: number; per: number }): boolean {
    checkedNumber(requests, { name: 'requests', least: 1 });
    const limit = Math.floor(requests);
    return this.#windows.map((window) => window.per <= per && window.lower(limit)).includes(true);
  }

  /** From now on each window, in the order of the rates, allows so many; never more than it was set up with. */
  limitTo(limits: readonly number[]): void {
    this.#windows.forEach((window, index) => window.limitTo(limits[index] ?? Infinity));
    this.#line.poke();
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
    // An idle window is asked most often: the clock is looked at only when something has to be waited for.
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
    return new WindowPermit(weight, this.#desk);
  }

  /** Monotonic time before which the weight is surely not granted. */
  #soonest(weight: number): number {
    const now = this.#clock.now();
    const share = this.#share.now;
    let soonest = Math.max(this.#pausedUntil, this.#line.nextTurn);
    for (const window of this.#windows) {
      window.free(now);
      const missing = window.used + weight - limitOf(window, { share, weight });
      if (missing <= 0) continue;
      const due = window.dueFor(missing);
      // What is granted and not sent cannot rest sooner than if it were sent now.
      soonest = Math.max(soonest, Math.min(due === Infinity ? now + window.per : due, this.#share.nextStep));
    }
    return soonest;
  }

  /** Where permits report back. One object for all of them, because permits are many. */
  readonly #desk: PermitDesk = {
    send: (weight) => {
      const now = this.#clock.now();
      const resting = this.#windows.map((window) => window.send(weight, now));
      this.#line.poke();
      return resting;
    },
    answer: (resting) => {
      const now = this.#clock.now();
      const [first] = resting;
      if (first) this.#travel.observe(now - first.sentAt);
      for (const share of resting) share.window.answer(share, now);
      this.#line.poke();
    },
    giveBack: (weight) => {
      for (const window of this.#windows) window.giveBack(weight);
      this.#line.poke();
    },
  };
}

/** Whole requests; a weight heavier than a lowered limit passes when the window is empty, so that it does not wait forever. */
function limitOf(window: RateWindow, { share, weight }: { share: number; weight: number }): number {
  return Math.max(weight, Math.floor(window.limit * share));
}

interface PermitDesk {
  send(weight: number): Resting[];
  answer(resting: Resting[]): void;
  giveBack(weight: number): void;
}

class WindowPermit implements Permit {
  readonly #weight: number;
  readonly #desk: PermitDesk;
  #state: 'granted' | 'sent' | 'ended' = 'granted';
  #resting: Resting[] | undefined;

  constructor(weight: number, desk: PermitDesk) {
    this.#weight = weight;
    this.#desk = desk;
  }

  sent(): void {
    if (this.#state !== 'granted') return;
    this.#state = 'sent';
    this.#resting = this.#desk.send(this.#weight);
  }

  answered(): void {
    // Someone who never said when it was sent: it was at the latest now, and there is nothing to learn from it.
    if (this.#state === 'granted') {
      this.sent();
      this.#state = 'ended';
    }
    if (this.#state !== 'sent') return;
    this.#state = 'ended';
    this.#desk.answer(this.#resting!);
  }

  release(): void {
    if (this.#state === 'granted') this.#desk.giveBack(this.#weight);
    this.#state = 'ended';
  }
}
