import { checkedNumber } from './checked-number.ts';
import { type Clock, systemClock } from './clock.ts';

/** The period of time that a quota is for, such as a day. */
export interface QuotaPeriod {
  /** Stable: use stored elsewhere is identified by it. */
  name: string;
  /** Epoch milliseconds. */
  endsAt: number;
}

export interface QuotaOptions {
  /** Requests per period. May be left out when the server announces what is left: see `heed`. */
  requests?: number | undefined;
  /** The share of them, 0 to 1, reserved for other users of the API. Default: 0. */
  reserve?: number;
  /** The period at a time in epoch milliseconds, for example `dayIn('Europe/Berlin')`. */
  periodAt: (wallNow: number) => QuotaPeriod;
  clock?: Clock;
}

/** The use of one period, to be stored and shared. */
export interface QuotaUse {
  period: string;
  /** Requests sent and counted. */
  requests: number;
  /** The smallest remainder the server announced; undefined when it announced none. */
  left: number | undefined;
  /** The largest total the server announced. */
  of: number | undefined;
}

export interface QuotaFigures {
  period: string;
  /** Requests of the whole period. */
  of: number;
  used: number;
  /** Reserved for others. */
  reserved: number;
  /** Requests that may still be sent without using the reserve. */
  spendable: number;
  /** Epoch milliseconds. */
  renewsAt: number;
}

interface Count extends QuotaPeriod {
  /** By all processes, as of the latest `share`. */
  shared: number;
  /** By this process since then. */
  own: number;
  left: number | undefined;
  of: number | undefined;
}

/**
 * Counts requests against a quota per period. It blocks no request: check `figures` before starting work that takes many
 * requests, so that started work can finish. Counts this process only, until `share` adds up all processes.
 */
export class Quota {
  readonly #requests: number | undefined;
  readonly #reserve: number;
  readonly #periodAt: QuotaOptions['periodAt'];
  readonly #clock: Clock;
  /** The current period is last; before it the earlier periods with use not shared yet. */
  #counts: Count[] = [];

  constructor({ requests, reserve = 0, periodAt, clock = systemClock }: QuotaOptions) {
    this.#requests = requests === undefined ? undefined : checkedNumber(requests, { name: 'requests', least: 1 });
    this.#reserve = checkedNumber(reserve, { name: 'reserve', least: 0 });
    this.#periodAt = periodAt;
    this.#clock = clock;
  }

  /** To be called for every request sent, including repeats. */
  spend(requests = 1): void {
    this.#now().own += requests;
  }

  /**
   * Records the announced remainder, and the total if known. The smallest remainder of a period counts, because answers
   * may arrive out of order. Without `of`, the largest remainder of the period serves as the total.
   */
  heed({ left, of = left }: { left: number; of?: number | undefined }): void {
    const count = this.#now();
    count.left = Math.min(count.left ?? Infinity, left);
    count.of = Math.max(count.of ?? 0, of);
  }

  /** Undefined while the total is unknown. */
  get figures(): QuotaFigures | undefined {
    const { name, endsAt, shared, own, left: told, of: toldOf } = this.#now();
    const of = this.#requests ?? toldOf;
    if (of === undefined) return undefined;
    const counted = this.#requests === undefined ? 0 : shared + own;
    const left = Math.max(0, Math.min(of - counted, told ?? Infinity));
    // The subtrahend corrects binary fractions: 0.07 × 100 is 7.000000000000001.
    const reserved = Math.max(0, Math.ceil(of * this.#reserve - 1e-9));
    const spendable = Math.max(0, left - reserved);
    return { period: name, of, used: of - left, reserved, spendable, renewsAt: endsAt };
  }

  /**
   * Passes the use not shared yet to `exchange`, which adds it to the stored use and gives the sum. When that throws, the
   * next call passes it again. Do not call it again before it has ended.
   */
  async share(exchange: (use: QuotaUse) => Promise<QuotaUse>): Promise<void> {
    this.#now();
    for (const count of this.#counts) {
      const { name, own, left, of } = count;
      // oxlint-disable-next-line no-await-in-loop -- one connection shares one period at a time
      const sum = await exchange({ period: name, requests: own, left, of });
      count.own -= own;
      count.shared = sum.requests;
      if (sum.left !== undefined) count.left = Math.min(count.left ?? Infinity, sum.left);
      if (sum.of !== undefined) count.of = Math.max(count.of ?? 0, sum.of);
    }
    this.#counts = this.#counts.filter((count, index) => count.own > 0 || index === this.#counts.length - 1);
  }

  #now(): Count {
    const now = this.#clock.wallNow();
    const latest = this.#counts.at(-1);
    if (latest && now < latest.endsAt) return latest;
    const next = { ...this.#periodAt(now), shared: 0, own: 0, left: undefined, of: undefined };
    this.#counts.push(next);
    return next;
  }
}

/** Gives the days of a time zone, named `YYYY-MM-DD`, with the length that daylight saving gives them. */
export function dayIn(timezone: string): (wallNow: number) => QuotaPeriod {
  const format = new Intl.DateTimeFormat('en-CA', { timeZone: timezone, dateStyle: 'short' });
  return (wallNow) => {
    const name = format.format(wallNow);
    // A binary search for the end of the day, to the millisecond; no day is longer than 25 hours.
    let within = Math.floor(wallNow);
    let after = within + 26 * 3_600_000;
    while (after - within > 1) {
      const middle = Math.floor((within + after) / 2);
      if (format.format(middle) === name) within = middle;
      else after = middle;
    }
    return { name, endsAt: after };
  };
}
