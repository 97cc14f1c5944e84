import { timeOfDay } from '../jobs/business-date.ts';
import type { Tally } from '../jobs/run/progress.ts';
import type { RunContext } from '../jobs/run/run-context.ts';
import type { ProgressSnapshot } from '../observe/progress.ts';
import type { StopSignals } from './stop-signals.ts';

/** The function that gives a run's snapshots to the progress display. */
export function progressSnapshot(context: RunContext, signals: Pick<StopSignals, 'graceLeft'>): () => ProgressSnapshot {
  const { job, businessDate, clock, lookups, stop } = context;
  const { tally } = context.progress;
  const { finishBy } = context.admission;
  const started = clock.now();
  const doneBefore = tally.enriched + tally.degraded + tally.failed;
  return () => {
    const { phase, listed, sourceTotal, listingDone, enriched, degraded, failed, chunksLoaded, chunks } = tally;
    const done = enriched + degraded + failed;
    const elapsedMs = clock.now() - started;
    const stopping = stop.stopping.aborted;
    const working = Math.max(0, tally.begun - (done - doneBefore));
    const left = contractsLeft({ ...tally, done, working, stopping });
    const perContract = elapsedMs / Math.max(1, done - doneBefore);
    const graceMs = signals.graceLeft();
    return {
      job: job.name,
      businessDate,
      phase,
      listed,
      ...(sourceTotal !== undefined && { sourceTotal }),
      listingDone,
      done,
      enriched,
      degraded,
      failed,
      chunksLoaded,
      chunks,
      elapsedMs,
      ...(stopping && { stopping, working }),
      ...(stopping && graceMs !== undefined && { graceMs }),
      ...(left !== undefined && done > doneBefore && { etaMs: perContract * left + longestRest(context) }),
      ...(finishBy && {
        finishBy: timeOfDay(finishBy, job.timezone),
        finishByMs: finishBy.getTime() - clock.wallNow(),
      }),
      apis: [...lookups.apis.values()].map((api) => {
        const { name, requests, retries, rateLimited, inFlight, currentRate, concurrency, breaker, rests } =
          api.statistics();
        const limits = job.apis[name]!.limits.rates.map(({ requests: limit, per }) => (limit * 1_000) / per);
        return {
          name,
          requests,
          retries,
          rateLimited,
          inFlight,
          ratePerSecond: currentRate,
          ...(limits.length > 0 && { limitPerSecond: Math.min(...limits) }),
          concurrency: concurrency.settled ?? concurrency.limit,
          ...(rests && {
            restsUntil: timeOfDay(new Date(rests.until), job.timezone),
            restsMs: rests.until - clock.wallNow(),
          }),
          breaker: breaker.finalState,
        };
      }),
    };
  };
}

/** Milliseconds until the API with the longest pause is asked again. */
const longestRest = ({ lookups, clock }: RunContext): number =>
  Math.max(0, ...[...lookups.apis.values()].map((api) => (api.statistics().rests?.until ?? 0) - clock.wallNow()));

/** Contracts that this run still has to process; undefined while the listing's total is unknown. */
function contractsLeft({
  phase,
  listed,
  sourceTotal,
  done,
  working,
  stopping,
}: Tally & { done: number; working: number; stopping: boolean }): number | undefined {
  if (stopping) return working;
  if (phase !== 'listing') return listed - done;
  return sourceTotal !== undefined && sourceTotal >= listed ? sourceTotal - done : undefined;
}
