export interface Workload {
  requests: number;
  /** At most `requests` in any interval of `per` milliseconds, each. */
  rates: readonly { requests: number; per: number }[];
  /** Requests in flight. */
  concurrency: number;
  latencyMs: number;
}

/**
 * The shortest time in milliseconds in which the limits allow a workload, and the limit that decides it: a rate, or the
 * concurrency (`undefined`). N requests go at once, the next N one window later, and the last takes its latency; with c in
 * flight, n requests of latency l take n / c × l. For 10,000 requests at 100 per second and 100 ms: 99.1 s.
 */
export function earliestFinish({ requests, rates, concurrency, latencyMs }: Workload): {
  ms: number;
  decidedBy: Workload['rates'][number] | undefined;
} {
  let finish: ReturnType<typeof earliestFinish> = {
    ms: Math.ceil(requests / concurrency) * latencyMs,
    decidedBy: undefined,
  };
  for (const rate of requests === 0 ? [] : rates) {
    const ms = (Math.ceil(requests / rate.requests) - 1) * rate.per + latencyMs;
    if (ms > finish.ms) finish = { ms, decidedBy: rate };
  }
  return finish;
}
