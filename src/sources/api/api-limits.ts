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

/** How often an API may be asked: its rate windows, its daily quota, and the rests it asks for. */
export class ApiLimits {
  readonly #options: Pick<ApiOptions, 'name' | 'limits'>;
  readonly #clock: Clock;
  readonly #onLowered: ApiHooks['onLowered'];
  readonly #onRest: ApiHooks['onRest'];
  readonly window: RollingWindow | undefined;
  readonly #routes: AnnouncedRoutes | undefined;
  /** Counts what is sent; whoever begins work asks it first. */
  readonly quota: Quota | undefined;
  /** Monotonic: the server asked everybody to wait until then. */
  #restsUntil = -Infinity;
  /** Monotonic: until when a good answer said that nothing is left, which another one has to confirm. */
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

  /** Total milliseconds permits were waited for. */
  get waitedMs(): number {
    return this.window?.waitedMs ?? 0;
  }

  /** Monotonic: until when the server asked everybody to wait; in the past when it did not. */
  get restsUntil(): number {
    return this.#restsUntil;
  }

  peaks(): ReturnType<RollingWindow['peaks']> {
    return this.window?.peaks() ?? [];
  }

  /** Monotonic: when the last of `requests` more (1 at least) could be sent at the soonest under the rates. */
  soonestSent(requests: number): number {
    return this.window?.soonest(requests) ?? Math.max(this.#clock.now(), this.#restsUntil);
  }

  /** The right to send one request; undefined where there are no rates. Throws ApiRestsError when the rest outlasts the deadline. */
  async permit(o: {
    key: string | undefined;
    /** Goes before those of its key: it has been sent before. */
    again?: boolean;
    signal: AbortSignal | undefined;
    /** Monotonic; may come nearer while it is waited. */
    deadline: () => number;
  }): Promise<Permit | undefined> {
    const { key = '', again = false, signal, deadline } = o;
    /* oxlint-disable no-await-in-loop -- each pass waits for a permit or for the end of a rest */
    for (;;) {
      if (this.#restsUntil > deadline()) throw this.#restsTooLong();
      const own = this.#routes && (await this.#routes.permit(key, signal));
      try {
        if (this.window) return both(own, await this.window.acquire({ key, again, ...(signal ? { signal } : {}) }));
        if (this.#restsUntil <= this.#clock.now()) return undefined;
        // The rest may be a longer one by the time it ends.
        await sleepUntil(Math.min(this.#restsUntil, this.#clock.now() + lookEvery), { clock: this.#clock, signal });
      } catch (error) {
        own?.release();
        if (error !== restHasGrown) throw error;
      }
    }
    /* oxlint-enable no-await-in-loop */
  }

  /** What the headers of a good answer, or of a refusal, say about limits may only slow us down. */
  heed(headers: AnswerHeaders, { status, key = '' }: { status: number; key: string | undefined }): void {
    const { quota, headroom = 0 } = this.#options.limits;
    const left = quota?.header === undefined ? undefined : quotaLeft(headers, quota.header);
    if (left) this.quota?.heed(left);
    // Of an error page that some box on the way made up, nothing is known.
    if (status !== 429 && (status < 200 || status > 299)) return;
    const announced = announcedLimits(headers, { wallNow: this.#clock.wallNow() });
    const limits = announced?.limits.map(({ requests, per }) => ({ requests: leaveHeadroom(requests, headroom), per }));
    for (const lower of this.#routes?.heed(key, limits ?? []) ?? [])
      this.#onLowered?.({ api: this.#options.name, ...lower });
    if (announced && announced.wait === 0) this.#nothingLeftUntil = -Infinity;
    if (announced && announced.wait > 0) this.#nothingLeft(announced.wait, { refused: status === 429 });
  }

  /** One good answer alone keeps nobody waiting for long: the next says the same, or it was a slip. */
  #nothingLeft(wait: number, { refused }: { refused: boolean }): void {
    const now = this.#clock.now();
    const confirmed = refused || wait <= longestUnconfirmed || this.#nothingLeftUntil > now;
    this.#nothingLeftUntil = Math.max(this.#nothingLeftUntil, now + wait);
    if (confirmed) this.restFor(wait);
  }

  /** Whoever waits looks again how long that may be. */
  wake(): void {
    this.window?.dismiss(restHasGrown);
  }

  /** Everybody waits so many milliseconds. */
  restFor(wait: number): void {
    const until = this.#clock.now() + wait;
    if (until <= this.#restsUntil) return;
    const isNews = until - this.#restsUntil >= shortestReportedRest;
    this.#restsUntil = until;
    this.window?.pauseUntil(until);
    if (wait >= shortestReportedRest && isNews)
      this.#onRest?.({ api: this.#options.name, until: this.#clock.wallNow() + wait, because: 'asked' });
    // Whoever has less time than that learns it now.
    this.window?.dismiss(restHasGrown);
  }

  #restsTooLong(): ApiRestsError {
    return new ApiRestsError({
      api: this.#options.name,
      because: 'it asked for that',
      retryAt: this.#clock.wallNow() + this.#restsUntil - this.#clock.now(),
    });
  }
}

/** Milliseconds. */
const longestUnconfirmed = 60_000;
const lookEvery = 500;

const restHasGrown = new Error('Everybody is asked to wait for longer than before.');

/** Two permits for one request. */
function both(one: Permit | undefined, other: Permit): Permit {
  if (!one) return other;
  return {
    sent: () => (one.sent(), other.sent()),
    answered: () => (one.answered(), other.answered()),
    release: () => (one.release(), other.release()),
  };
}
