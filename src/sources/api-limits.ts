import { announcedLimits } from '../resilience/announced-limits.ts';
import type { Clock } from '../resilience/clock.ts';
import { dayIn, Quota } from '../resilience/quota.ts';
import { type Permit, RollingWindow } from '../resilience/rolling-window.ts';
import { sleepUntil } from '../resilience/sleep-until.ts';
import type { ApiHooks } from './api-request.ts';
import type { ApiOptions } from './api-options.ts';
import type { AnswerHeaders } from './exchange.ts';
import { leaveHeadroom } from './headroom.ts';
import { quotaLeft } from './quota-header.ts';
import { RequestError } from './request-error.ts';

/** How often an API may be asked: its rate windows, its daily quota, and the pauses it asks for. */
export class ApiLimits {
  readonly #options: Pick<ApiOptions, 'name' | 'limits' | 'retry'>;
  readonly #clock: Clock;
  readonly #onLowered: ApiHooks['onLowered'];
  readonly #window: RollingWindow | undefined;
  /** Counts what is sent; whoever begins work asks it first. */
  readonly quota: Quota | undefined;
  /** Monotonic: the server asked everybody to wait until then. */
  #pausedUntil = -Infinity;

  constructor(
    options: Pick<ApiOptions, 'name' | 'limits' | 'retry'>,
    { clock, onLowered }: { clock: Clock; onLowered: ApiHooks['onLowered'] },
  ) {
    const { rates, quota } = options.limits;
    this.#options = options;
    this.#clock = clock;
    this.#onLowered = onLowered;
    if (rates.length > 0) this.#window = new RollingWindow({ rates, clock });
    this.quota = quota && new Quota({ ...quota, periodAt: dayIn(quota.timezone), clock });
  }

  /** Total milliseconds permits were waited for. */
  get waitedMs(): number {
    return this.#window?.waitedMs ?? 0;
  }

  peaks(): ReturnType<RollingWindow['peaks']> {
    return this.#window?.peaks() ?? [];
  }

  /** Monotonic: when the last of `requests` more (1 at least) could be sent at the soonest under the rates. */
  soonestSent(requests: number): number {
    return this.#window?.soonest(requests) ?? Math.max(this.#clock.now(), this.#pausedUntil);
  }

  /** The right to send one request; undefined where there are no rates. Throws RequestError when the pause is too long. */
  async permit(o: {
    key: string | undefined;
    signal: AbortSignal | undefined;
    /** Monotonic. */
    deadline: number;
    attempts: number;
  }): Promise<Permit | undefined> {
    const { key, signal } = o;
    const patience = Math.min(this.#clock.now() + this.#options.retry.maxElapsed, o.deadline);
    try {
      for (;;) {
        if (this.#pausedUntil > patience) throw pausedTooLong;
        if (this.#window)
          return await this.#window.acquire({ ...(key === undefined ? {} : { key }), ...(signal ? { signal } : {}) });
        if (this.#pausedUntil <= this.#clock.now()) return undefined;
        // The pause may be a longer one by the time it ends.
        await sleepUntil(this.#pausedUntil, { clock: this.#clock, signal });
      }
    } catch (error) {
      throw error === pausedTooLong ? this.#pausedTooLong(o.attempts) : error;
    }
  }

  /** What an answer's headers say about limits may only slow us down. */
  heed(headers: AnswerHeaders): void {
    const { quota, headroom = 0 } = this.#options.limits;
    const left = quota?.header === undefined ? undefined : quotaLeft(headers, quota.header);
    if (left) this.quota?.heed(left);
    const announced = announcedLimits(headers, { wallNow: this.#clock.wallNow() });
    if (!announced) return;
    for (const { requests, per } of announced.limits) {
      const limit = leaveHeadroom(requests, headroom);
      if (this.#window?.lowerTo({ requests: limit, per }))
        this.#onLowered?.({ api: this.#options.name, requests: limit, per });
    }
    if (announced.wait > 0) this.#pauseFor(announced.wait);
  }

  /** A request was answered as one too many; `wait` in milliseconds, when the answer named a time. */
  slowDown(wait: number | undefined): void {
    if (wait) this.#pauseFor(wait);
    else this.#window?.slowDown();
  }

  #pauseFor(wait: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, this.#clock.now() + wait);
    this.#window?.pauseUntil(this.#pausedUntil);
    // Longer than anyone's patience, so nobody waits for it in a slot; without a window they look when they wake.
    if (wait > this.#options.retry.maxElapsed) this.#window?.dismiss(pausedTooLong);
  }

  #pausedTooLong(attempts: number): RequestError {
    const { name } = this.#options;
    const retryAt = this.#clock.wallNow() + this.#pausedUntil - this.#clock.now();
    return new RequestError({
      api: name,
      attempts,
      code: 'RATE_LIMITED',
      class: 'transient',
      message: `API "${name}" asked everybody to wait until ${new Date(retryAt).toISOString()}, which is longer than this request may wait`,
      retryAt,
    });
  }
}

const pausedTooLong = new Error('Everybody is asked to wait for longer than a request may.');
