import { BoundedQueue } from '../../resilience/bounded-queue.ts';
import { NightfillError } from '../../resilience/failure.ts';
import { deadlineText } from '../admission/admission.ts';
import { DatabaseGoneError } from '../../sinks/postgres/postgres.ts';
import { ApiRestsError } from '../../sources/api/api-rests-error.ts';
import { persist } from './persist.ts';
import { lastChunk, planContracts, unfinishedChunks, type WorkSelection } from '../plan/list-contracts.ts';
import { listingObstacle } from '../admission/quota-gate.ts';
import type { RunContext } from './run-context.ts';
import { secondChance } from '../admission/second-chance.ts';
import { apiRests, StopReason } from './stop-reason.ts';
import { workChunks } from '../admission/work-chunks.ts';

interface WorkOutcome {
  /** The listing's own failure. */
  listFailure?: unknown;
  /** It was not begun or not finished, for the reason that the run stopped. */
  unlisted?: boolean;
  /** Numbers of the whole chunks that were to be worked on anew and were not. */
  left?: number[];
  /** What broke the runner. */
  error?: unknown;
}

/** Lists while chunks are worked on; then gives what failed for a transient cause its second chance. */
export async function work(
  context: RunContext,
  o: {
    selection: WorkSelection;
    /** The listing was not finished by an earlier run. */
    listing: boolean;
    limit: number | undefined;
    /** Ends the listing: what it waits for has no side effects, and the next run lists again. */
    interrupted: AbortSignal;
    broken: AbortController;
    stop: AbortController;
  },
): Promise<WorkOutcome> {
  const { selection, broken, stop } = o;
  const numbers = new BoundedQueue<number>({ items: Infinity });
  const handlers = {
    abort: (error: unknown) => broken.abort(error),
    stop: (reason: StopReason) => stop.abort(reason),
  };
  let listFailure: unknown;
  let unlisted = false;
  let toDo: number[] = [];
  const list = async (): Promise<void> => {
    try {
      toDo = await persist(async () => unfinishedChunks(context, selection), context);
      for (const number of toDo) await numbers.push(number);
      const obstacle = o.listing ? listingObstacle(context) : undefined;
      if (obstacle) {
        unlisted = true;
        handlers.stop(obstacle);
      } else if (o.listing)
        await planContracts(context, {
          signal: o.interrupted,
          ...(o.limit !== undefined && { limit: o.limit }),
          onChunk: async (number) => numbers.push(number),
        });
    } catch (error) {
      unlisted = error instanceof StopReason || error instanceof ApiRestsError;
      if (!(error instanceof NightfillError) || error instanceof DatabaseGoneError || context.signal.aborted)
        throw error;
      if (error instanceof ApiRestsError) handlers.stop(listingCutOff(error, context));
      else if (!unlisted) listFailure = error;
    } finally {
      context.tally.phase = 'enriching';
      numbers.close();
    }
  };
  context.tally.listingDone = !o.listing;
  try {
    await persist(async () => countPlanned(context, selection), context);
    context.plan.lastChunk = await persist(async () => lastChunk(context), context);
    // Both come to their end, also when one fails: what closes the run must find nobody at work.
    const ended = await Promise.allSettled([
      list().catch((error: unknown) => {
        broken.abort(error);
        throw error;
      }),
      workChunks(context, numbers, { selection, ...handlers }),
    ]);
    for (const part of ended) if (part.status === 'rejected') throw part.reason;
    if (!context.stopping.aborted) await secondChance(context, handlers);
    const left = selection.wholeChunks ? toDo.filter((number) => !context.plan.worked.has(number)) : [];
    return { listFailure, unlisted, left };
  } catch (error) {
    return { listFailure, unlisted, error: context.signal.aborted ? context.signal.reason : error };
  } finally {
    await Promise.all([context.contracts.onIdle(), context.loads.onIdle()]);
  }
}

/** Why the listing was left: its API rests for longer than the night has, or the deadline came first. */
function listingCutOff(error: ApiRestsError, { tally, job, finishBy }: RunContext): StopReason {
  if (!error.outOfTime || !finishBy) return apiRests(error);
  return new StopReason(
    'DEADLINE',
    `${deadlineText(finishBy, job)} came before the listing had ended, after ${tally.pages} pages with ${tally.listed} new contracts; the next run goes on with it`,
  );
}

/** Contracts that an earlier run planned and this one works on, for the progress display. */
async function countPlanned(context: RunContext, { chunks }: WorkSelection): Promise<void> {
  const { rows } = await context.database.query<{ contracts: number; done: number; numbers: number; loaded: number }>(
    `SELECT coalesce(sum(contracts), 0)::integer AS contracts, coalesce(sum(enriched + degraded), 0)::integer AS done,
       count(*)::integer AS numbers, (count(*) FILTER (WHERE status = 'succeeded'))::integer AS loaded
     FROM nightfill.chunk WHERE instance = $1 AND ($2::integer[] IS NULL OR number = ANY ($2))`,
    [context.instance, chunks ?? null],
  );
  const { contracts, done, numbers, loaded } = rows[0]!;
  Object.assign(context.tally, { listed: contracts, enriched: done, chunks: numbers, chunksLoaded: loaded });
}
