import type { ProgressSnapshot } from '../../src/observe/progress.ts';

/** A run in its middle; what a test is about it changes. */
export function snapshotOf(changes: Partial<ProgressSnapshot> = {}): ProgressSnapshot {
  return {
    job: 'contract-enrichment',
    businessDate: '2026-03-01',
    phase: 'enriching',
    listed: 2000,
    listingDone: true,
    done: 1248,
    enriched: 1233,
    degraded: 3,
    failed: 12,
    chunksLoaded: 2,
    chunks: 4,
    elapsedMs: 13_400,
    etaMs: 8_100,
    finishBy: '06:00',
    finishByMs: 11_490_000,
    apis: [
      {
        name: 'crm',
        ratePerSecond: 96.6,
        limitPerSecond: 100,
        inFlight: 12,
        concurrency: 50,
        requests: 1302,
        retries: 14,
        rateLimited: 0,
        breaker: 'closed',
      },
      {
        name: 'usage',
        ratePerSecond: 41.2,
        inFlight: 3,
        concurrency: 8,
        requests: 1240,
        retries: 0,
        rateLimited: 2,
        breaker: 'closed',
      },
    ],
    ...changes,
  };
}
