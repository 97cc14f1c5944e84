import { checkedNumber } from './checked-number.ts';
import { type Clock, systemClock } from './clock.ts';

/** A stretch of time that a quota is given for. */
export interface QuotaPeriod {
  /** Stable, so that what is kept elsewhere goes by it. */
  name: string;
  /** Epoch milliseconds. */
  endsAt: number;
}

export interface QuotaOptions {
  /** Requests per period. May be left out when the other side tells what is left: see `heed`. */
  requests?: number | undefined;
  /** The share of them, 0 to 1, that is left for others. Default: 0. */
  reserve?: number;
  /** The period at a time in epoch milliseconds, for example `dayIn('Europe/Berlin')`. */
  periodAt: (wallNow: number) => QuotaPeriod;
  clock?: Clock;
}

/** What a period's use is known by, to be kept and shared. */
export interface QuotaUse {
  period: string;
  /** Sent by those who count. */
  requests: number;
  /** The least that the other side said is left; undefined when it has not. */
  left: number | undefined;
  /** The most that it said there are in all. */
  of: number | undefined;
}

export interface QuotaFigures {
  period: string;
  /** Requests of the whole period. */
  of: number;
  used: number;
  /** Left for others. */
  reserved: number;
  /** What may still be sent without touching the reserve. */
  spendable: number;
  /** Epoch milliseconds. */
  renewsAt: number;
}

interface Count extends QuotaPeriod {
  /** By everyone, as of the latest `share`. */
  shared: number;
  /** Here since then. */
  own: number;
  left: number | undefined;
  of: number | undefined;
}

/**
 * Counts requests against a quota per period. It holds nobody back: whoever begins work that takes many requests asks
 * `figures` first, so that what has begun can end. The count is this process's own until `share` adds up everyone's.
 */
export class Quota {
  readonly #requests: number | undefined;
  readonly #reserve: number;
  readonly #periodAt: QuotaOptions['periodAt'];
  readonly #clock: Clock;
  /** The current period last; before it those of which something is not shared yet. */
  #counts: Count[] = [];

  constructor({ requests, reserve = 0, periodAt, clock = systemClock }: QuotaOptions) {
    this.#requests = requests === undefined ? undefined : checkedNumber(requests, { name: 'requests', least: 1 });
    this.#reserve = checkedNumber(reserve, { name: 'reserve', least: 0 });
    this.#periodAt = periodAt;
    this.#clock = clock;
  }

  /** To be called for every request that is sent, repeats included. */
  spend(requests = 1): void {
    this.#now().own += requests;
  }

  /**
   * What the other side says is left, of how many. The least told in a period counts: answers overtake one another.
   * Without `of` the most that was ever left in the period stands for the whole.
   */
  heed({ left, of = left }: { left: number; of?: number | undefined }): void {
    const count = this.#now();
    count.left = Math.min(count.left ?? Infinity, left);
    count.of = Math.max(count.of ?? 0, of);
  }

  /** Undefined while nobody has told how many there are. */
  get figures(): QuotaFigures | undefined {
    const { name, endsAt, shared, own, left: told, of: toldOf } = this.#now();
    const of = this.#requests ?? toldOf;
    if (of === undefined) return undefined;
    const counted = this.#requests === undefined ? 0 : shared + own;
    const left = Math.max(0, Math.min(of - counted, told ?? Infinity));
    // The subtrahend undoes binary fractions: 0.07 × 100 is 7.000000000000001.
    const reserved = Math.max(0, Math.ceil(of * this.#reserve - 1e-9));
    const spendable = Math.max(0, left - reserved);
    return { period: name, of, used: of - left, reserved, spendable, renewsAt: endsAt };
  }

  /**
   * Hands what is known and not shared yet to `exchange`, which adds it to what others know and gives the sum. When that
   * throws, nothing is lost: it is handed over again. Not to be called again before it has ended.
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

/** The days of a time zone, `YYYY-MM-DD`, each as long as its clocks make it. */
export function dayIn(timezone: string): (wallNow: number) => QuotaPeriod {
  const format = new Intl.DateTimeFormat('en-CA', { timeZone: timezone, dateStyle: 'short' });
  return (wallNow) => {
    const name = format.format(wallNow);
    // No day is longer than 25 hours; its end is looked for to the millisecond.
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
