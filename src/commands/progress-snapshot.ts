import { timeOfDay } from '../jobs/admission.ts';
import type { RunContext } from '../jobs/run-context.ts';
import type { ProgressSnapshot } from '../observe/progress.ts';

/** Gives the snapshots of a run that the progress display draws. */
export function progressSnapshot(context: RunContext): () => ProgressSnapshot {
  const { job, businessDate, tally, clock, finishBy } = context;
  const started = clock.now();
  const doneBefore = tally.enriched + tally.degraded + tally.failed;
  return () => {
    const done = tally.enriched + tally.degraded + tally.failed;
    const elapsedMs = clock.now() - started;
    const perContract = elapsedMs / Math.max(1, done - doneBefore);
    return {
      job: job.name,
      businessDate,
      phase: tally.phase,
      listed: tally.listed,
      listingDone: tally.listingDone,
      done,
      enriched: tally.enriched,
      degraded: tally.degraded,
      failed: tally.failed,
      chunksLoaded: tally.chunksLoaded,
      chunks: tally.chunks,
      elapsedMs,
      ...(tally.listingDone && done > doneBefore && { etaMs: perContract * (tally.listed - done) }),
      ...(finishBy && {
        finishBy: timeOfDay(finishBy, job.timezone),
        finishByMs: finishBy.getTime() - clock.wallNow(),
      }),
      apis: [...context.apis.values()].map((api) => {
        const { name, requests, retries, rateLimited, inFlight, currentRate, concurrency, breaker } = api.statistics();
        const limits = job.apis[name]!.limits.rates.map(({ requests: limit, per }) => (limit * 1_000) / per);
        return {
          name,
          requests,
          retries,
          rateLimited,
          inFlight,
          ratePerSecond: currentRate,
          ...(limits.length > 0 && { limitPerSecond: Math.min(...limits) }),
          concurrency: concurrency.limit,
          breaker: breaker.finalState,
        };
      }),
    };
  };
}
