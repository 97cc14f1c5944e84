import { createHistogram } from 'node:perf_hooks';
import type { Rest } from './api-request.ts';

/** The `apis[]` entry of the report, and the current figures for the progress display. */
export interface ApiStatistics {
  name: string;
  /** Requests written to a socket, including repeats. */
  requests: number;
  /** Attempts after a request's first. */
  retries: number;
  timeouts: number;
  /** Answers by status. */
  statuses: Record<string, number>;
  /** Answers that mean "too many requests", of any status. */
  rateLimited: number;
  /** Milliseconds waited for permits, summed over all requests. */
  waitedMs: number;
  /** From writing a request to the last byte of its answer. */
  latencyMs: { p50: number; p95: number; p99: number; max: number };
  rates: { requests: number; perMs: number; peak: number }[];
  /** `settled`: the limit found from the API's refusals; absent when none was found. */
  concurrency: { limit: number; peak: number; settled?: number };
  breaker: { opened: number; finalState: string };
  inFlight: number;
  /** Set while nothing is sent, because the API asked for a rest or seems to be down; `until` in epoch milliseconds. */
  rests: Omit<Rest, 'api'> | undefined;
  /** Requests written in the last whole second. */
  currentRate: number;
}

/** Counts the requests, answers and failures of one API. */
export class ApiCounters {
  requests = 0;
  retries = 0;
  timeouts = 0;
  rateLimited = 0;
  /** Requests whose first attempt failed. */
  failedAtFirst = 0;
  /** Answers with the requested data. */
  goodAnswers = 0;
  /** Any answer has arrived. */
  hasAnswered = false;
  readonly statuses: Record<string, number> = {};
  // In microseconds, because a histogram holds whole numbers and local answers take less than a millisecond.
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

/** Number of events in the last second, to a tenth of a second, in constant memory. */
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
