import { earliestFinish } from '../resilience/earliest-finish.ts';
import type { ApiOptions } from '../sources/api-options.ts';

/** What a night asks of one API, at most, and how long that takes at the least. */
export interface ApiForecast {
  api: string;
  requests: number;
  /** The earliest legal finish of these requests, in milliseconds. */
  shortestMs: number;
  /** What decides it: a rate window, the semaphore, or the latency of a single answer. */
  decidedBy: string;
  /** Requests in flight needed to use the rates up, at the latency given; 0 without rates. */
  concurrencyNeeded: number;
}

/** The earliest legal finish of an API's requests, as `earliestFinish` has it, and what it takes to reach it. */
export function forecastApi(
  { name, limits: { rates, concurrency } }: Pick<ApiOptions, 'name' | 'limits'>,
  { requests, latencyMs }: { requests: number; latencyMs: number },
): ApiForecast {
  const { ms, decidedBy } = earliestFinish({ requests, rates, concurrency, latencyMs });
  const perSecond = Math.min(...rates.map((rate) => (rate.requests * 1_000) / rate.per));
  return {
    api: name,
    requests,
    shortestMs: Math.round(ms),
    decidedBy: decidedBy
      ? `${decidedBy.requests} requests per ${decidedBy.per / 1_000} s`
      : `${concurrency} in flight at ${Math.round(latencyMs)} ms each`,
    concurrencyNeeded: Number.isFinite(perSecond) ? Math.ceil((perSecond * latencyMs) / 1_000) : 0,
  };
}

/** The rate per second at which `requests` fit into `availableMs`, rounded up. */
export function rateThatFits(requests: number, availableMs: number): number {
  return availableMs <= 0 ? Infinity : Math.ceil((requests * 1_000) / availableMs);
}
