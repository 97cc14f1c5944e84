import { earliestFinish } from '../../resilience/earliest-finish.ts';
import type { ApiOptions } from '../../sources/api/api-options.ts';
import type { Lookup } from '../job.ts';

/** The most requests that a night needs of one API, and the shortest time they take. */
export interface ApiForecast {
  api: string;
  requests: number;
  /** The earliest legal finish of these requests, in milliseconds. */
  shortestMs: number;
  /** The limit that determines `shortestMs`: a rate window, the concurrency, or the latency of a single answer. */
  decidedBy: string;
  /** Requests in flight needed to reach the rates at the given latency; 0 without rates. */
  concurrencyNeeded: number;
}

/** The earliest finish of an API's requests that its limits allow (`earliestFinish`), and the concurrency it needs. */
export function forecastApi(
  { name, limits: { rates, concurrency } }: Pick<ApiOptions, 'name' | 'limits'>,
  { requests, latencyMs, slots = concurrency }: { requests: number; latencyMs: number; slots?: number },
): ApiForecast {
  const { ms, decidedBy } = earliestFinish({ requests, rates, concurrency: slots, latencyMs });
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

/**
 * Milliseconds before `finishBy` that are reserved for controls and report: a tenth of the time left, at most 30 s. As much
 * again is reserved for errors of the forecast.
 */
export const spareMs = (left: number): number => Math.min(30_000, Math.max(0, left) / 10);

/** The requests that one API still has to answer. */
export interface RemainingRequests {
  requests: number;
  concurrency: number;
  latencyMs: number;
  /** Monotonic: the earliest time at which the rates allow the last of so many requests. */
  soonestSent: (requests: number) => number;
}

/** The earliest monotonic time by which all requests can be answered; a contract's dependent lookups take `chainMs`. */
export function earliestEnd(
  apis: readonly RemainingRequests[],
  { now, chainMs }: { now: number; chainMs: number },
): number {
  const ends = apis
    .filter(({ requests }) => requests > 0)
    .map(({ requests, concurrency, latencyMs, soonestSent }) =>
      Math.max(now + Math.ceil(requests / concurrency) * latencyMs, soonestSent(requests) + latencyMs),
    );
  return Math.max(now + chainMs, ...ends);
}

/** Milliseconds for a contract's lookups, when each waits for those it needs. */
export function longestChain(
  lookups: readonly Pick<Lookup, 'name' | 'api' | 'needs'>[],
  latencyMs: (api: string) => number,
): number {
  const ends = new Map<string, number>();
  for (const { name, api, needs } of lookups)
    ends.set(name, Math.max(0, ...needs.map((needed) => ends.get(needed) ?? 0)) + latencyMs(api));
  return Math.max(0, ...ends.values());
}
