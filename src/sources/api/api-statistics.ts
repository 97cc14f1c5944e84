import { createHistogram } from 'node:perf_hooks';
import type { Rest } from './api-request.ts';

/** The `apis[]` entry of the report, and what the progress display shows of the moment. */
export interface ApiStatistics {
  name: string;
  /** Requests written to a socket, repeats included. */
  requests: number;
  /** Attempts after the first of a request. */
  retries: number;
  timeouts: number;
  /** Answers by status. */
  statuses: Record<string, number>;
  /** Answers that said "too many requests", by whatever status. */
  rateLimited: number;
  /** Milliseconds waited for permits, summed over all requests. */
  waitedMs: number;
  /** From the moment a request is written to the last byte of its answer. */
  latencyMs: { p50: number; p95: number; p99: number; max: number };
  rates: { requests: number; perMs: number; peak: number }[];
  /** `settled`: what the API's refusals lowered it to; absent while nothing is lowered. */
  concurrency: { limit: number; peak: number; settled?: number };
  breaker: { opened: number; finalState: string };
  inFlight: number;
  /** Nothing is sent before `until` (epoch milliseconds), because the API asked for that or seems to be down. */
  rests: Omit<Rest, 'api'> | undefined;
  /** Requests written in the last whole second. */
  currentRate: number;
}

/** Counts what happens to one API's requests. */
export class Tally {
  requests = 0;
  retries = 0;
  timeouts = 0;
  rateLimited = 0;
  /** Requests that failed when they were sent first. */
  failedAtFirst = 0;
  /** Answers that carried what was asked for. */
  goodAnswers = 0;
  /** Something came back, whatever it was. */
  hasAnswered = false;
  readonly statuses: Record<string, number> = {};
  // Microseconds: a histogram holds whole numbers, and local answers take less than a millisecond.
  readonly #latency = createHistogram({ lowest: 1, highest: 3_600_000_000, figures: 3 });
  readonly #recent = new RecentRate();

  written(now: number): void {
    this.requests += 1;
    this.#recent.count(now);
  }

  answered(status: number, latencyMs: number): void {
    this.hasAnswered = true;
    this.statuses[status] = (this.statuses[status] ?? 0) + 1;
    this.#latency.record(Math.max(1, Math.round(latencyMs * 1000)));
  }

  currentRate(now: number): number {
    return this.#recent.perSecond(now);
  }

  latencyMs(): ApiStatistics['latencyMs'] {
    const at = (percent: number): number => (this.#latency.count === 0 ? 0 : this.#latency.percentile(percent) / 1000);
    return { p50: at(50), p95: at(95), p99: at(99), max: at(100) };
  }
}

const slots = 10;
const slotMs = 100;

/** How many events fell into the last second, to a tenth of it, in constant memory. */
class RecentRate {
  readonly #counts = Array.from({ length: slots }, () => 0);
  #newest = 0;

  count(now: number): void {
    this.#advance(now);
    this.#counts[this.#newest % slots] = (this.#counts[this.#newest % slots] ?? 0) + 1;
  }

  perSecond(now: number): number {
    this.#advance(now);
    return this.#counts.reduce((sum, count) => sum + count, 0);
  }

  #advance(now: number): void {
    const slot = Math.floor(now / slotMs);
    for (let empty = Math.max(this.#newest + 1, slot - slots + 1); empty <= slot; empty += 1)
      this.#counts[empty % slots] = 0;
    this.#newest = Math.max(this.#newest, slot);
  }
}
