import { announcedLimits } from '../../resilience/announced-limits.ts';
import type { Clock } from '../../resilience/clock.ts';
import { dayIn, Quota } from '../../resilience/quota.ts';
import { type Permit, RollingWindow } from '../../resilience/rolling-window.ts';
import { sleepUntil } from '../../resilience/sleep-until.ts';
import { AnnouncedRoutes } from './announced-routes.ts';
import type { ApiHooks } from './api-request.ts';
import type { ApiOptions } from './api-options.ts';
import { ApiRestsError, shortestReportedRest } from './api-rests-error.ts';
import type { AnswerHeaders } from '../http/exchange.ts';
import { leaveHeadroom } from './headroom.ts';
import { quotaLeft } from './quota-header.ts';

/** The limits on requests to an API: its rate windows, its daily quota, and the rests it asks for. */
export class ApiLimits {
  readonly #options: Pick<ApiOptions, 'name' | 'limits'>;
  readonly #clock: Clock;
  readonly #onLowered: ApiHooks['onLowered'];
  readonly #onRest: ApiHooks['onRest'];
  readonly window: RollingWindow | undefined;
  readonly #routes: AnnouncedRoutes | undefined;
  /** Counts what is sent; checked before work is started. */
  readonly quota: Quota | undefined;
  /** Monotonic: the server asked all requests to wait until then. */
  #restsUntil = -Infinity;
  /** Monotonic: until when nothing is left according to a good answer, which another one has to confirm. */
  #nothingLeftUntil = -Infinity;

  constructor(
    options: Pick<ApiOptions, 'name' | 'limits'>,
    { clock, onLowered, onRest }: { clock: Clock } & Pick<ApiHooks, 'onLowered' | 'onRest'>,
  ) {
    const { rates, quota } = options.limits;
    this.#options = options;
    this.#clock = clock;
    this.#onLowered = onLowered;
    this.#onRest = onRest;
    if (rates.length > 0) {
      this.window = new RollingWindow({ rates, clock });
      this.#routes = new AnnouncedRoutes({ rates, window: this.window, clock });
    }
    this.quota = quota && new Quota({ ...quota, periodAt: dayIn(quota.timezone), clock });
  }

  /** Milliseconds waited for permits, summed over all requests. */
  get waitedMs(): number {
    return this.window?.waitedMs ?? 0;
  }

  /** Monotonic: until when the server asked all requests to wait; in the past when it did not. */
  get restsUntil(): number {
    return this.#restsUntil;
  }

  peaks(): ReturnType<RollingWindow['peaks']> {
    return this.window?.peaks() ?? [];
  }

  /** Monotonic: the earliest time at which the rates allow the last of `requests` more (at least 1). */
  soonestSent(requests: number): number {
    return this.window?.soonest(requests) ?? Math.max(this.#clock.now(), this.#restsUntil);
  }

  /** The right to send one request; undefined without rates. Throws ApiRestsError when the rest lasts beyond the deadline. */
  async permit(o: {
    lane: string | undefined;
    /** A repeat goes to the front of its lane. */
    again?: boolean;
    signal: AbortSignal | undefined;
    /** Monotonic; may become earlier during the wait. */
    deadline: () => number;
  }): Promise<Permit | undefined> {
    const { lane = '', again = false, signal, deadline } = o;
    for (;;) {
      if (this.#restsUntil > deadline()) throw this.#restsError();
      // oxlint-disable-next-line no-await-in-loop -- each pass waits for a permit or for the end of a rest
      const own = this.#routes && (await this.#routes.permit(lane, signal));
      try {
        if (this.window)
          // oxlint-disable-next-line no-await-in-loop -- each pass waits for a permit or for the end of a rest
          return bothPermits(own, await this.window.acquire({ key: lane, again, ...(signal ? { signal } : {}) }));
        if (this.#restsUntil <= this.#clock.now()) return undefined;
        // The rest may be extended during this wait.
        // oxlint-disable-next-line no-await-in-loop -- each pass waits for a permit or for the end of a rest
        await sleepUntil(Math.min(this.#restsUntil, this.#clock.now() + recheckEvery), { clock: this.#clock, signal });
      } catch (error) {
        own?.release();
        if (error !== restExtended) throw error;
      }
    }
    /* oxlint-enable no-await-in-loop */
  }

  /** Applies what an answer's headers say about limits; never raises a limit above the job file's. */
  applyHeaders(headers: AnswerHeaders, { status, lane = '' }: { status: number; lane: string | undefined }): void {
    const { quota, headroom = 0 } = this.#options.limits;
    const left = quota?.header === undefined ? undefined : quotaLeft(headers, quota.header);
    if (left) this.quota?.heed(left);
    // An error page may come from a proxy, so its headers are ignored.
    if (status !== 429 && (status < 200 || status > 299)) return;
    const announced = announcedLimits(headers, { wallNow: this.#clock.wallNow() });
    const limits = announced?.limits.map(({ requests, per }) => ({ requests: leaveHeadroom(requests, headroom), per }));
    for (const lower of this.#routes?.announce(lane, limits ?? []) ?? [])
      this.#onLowered?.({ api: this.#options.name, ...lower });
    if (announced && announced.wait === 0) this.#nothingLeftUntil = -Infinity;
    if (announced && announced.wait > 0) this.#nothingLeft(announced.wait, { refused: status === 429 });
  }

  /** A long wait that a good answer announces has to be confirmed by the next one, because it may be an error. */
  #nothingLeft(wait: number, { refused }: { refused: boolean }): void {
    const now = this.#clock.now();
    const confirmed = refused || wait <= longestUnconfirmed || this.#nothingLeftUntil > now;
    this.#nothingLeftUntil = Math.max(this.#nothingLeftUntil, now + wait);
    if (confirmed) this.restFor(wait);
  }

  /** Makes all waiters check their deadline again. */
  recheckWaiters(): void {
    this.window?.dismiss(restExtended);
  }

  /** Makes all requests wait for `wait` milliseconds. */
  restFor(wait: number): void {
    const until = this.#clock.now() + wait;
    if (until <= this.#restsUntil) return;
    const isExtended = until - this.#restsUntil >= shortestReportedRest;
    this.#restsUntil = until;
    this.window?.pauseUntil(until);
    if (wait >= shortestReportedRest && isExtended)
      this.#onRest?.({ api: this.#options.name, until: this.#clock.wallNow() + wait, because: 'asked' });
    // Waiters with an earlier deadline fail now.
    this.window?.dismiss(restExtended);
  }

  #restsError(): ApiRestsError {
    return new ApiRestsError({
      api: this.#options.name,
      because: 'it asked for that',
      retryAt: this.#clock.wallNow() + this.#restsUntil - this.#clock.now(),
    });
  }
}

/** Milliseconds. A longer wait that a good answer announces needs a second answer. */
const longestUnconfirmed = 60_000;
/** Milliseconds. */
const recheckEvery = 500;

const restExtended = new Error('The rest was extended.');

/** Combines two permits for one request. */
function bothPermits(one: Permit | undefined, other: Permit): Permit {
  if (!one) return other;
  return {
    sent: () => (one.sent(), other.sent()),
    answered: () => (one.answered(), other.answered()),
    release: () => (one.release(), other.release()),
  };
}
