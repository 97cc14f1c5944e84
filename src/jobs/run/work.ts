import { countPlanned, lastChunk } from '../../ledger/plan.ts';
import type { WorkSelection } from '../../ledger/planned-contract.ts';
import { unfinishedChunks } from '../../ledger/planned-work.ts';
import { BoundedQueue } from '../../resilience/bounded-queue.ts';
import { NightfillError } from '../../resilience/failure.ts';
import { DatabaseGoneError } from '../../sinks/postgres/postgres.ts';
import { ApiRestsError } from '../../sources/api/api-rests-error.ts';
import { deadlineText } from '../admission/deadline-gate.ts';
import { listingObstacle } from '../admission/quota-gate.ts';
import { listContracts } from '../plan/list-contracts.ts';
import type { RunContext } from './run-context.ts';
import { apiRests, StopReason } from './stop-reason.ts';
import { workChunks } from './work-chunks.ts';

export interface WorkOptions {
  selection: WorkSelection;
  /** Contracts have to be listed, because no earlier run finished the listing. */
  listing: boolean;
  limit: number | undefined;
}

/** How listing and working on the chunks ended. */
export interface WorkOutcome {
  /** The listing's own failure. */
  listFailure?: unknown;
  /** The listing was not begun or not finished because the run stopped. */
  unlisted?: boolean;
  /** Numbers of the chunks that were requested whole (`--whole-chunks`) and not worked on. */
  left?: readonly number[];
  /** The error that broke the run. */
  error?: unknown;
}

/** Lists contracts while the chunks stored so far are worked on. */
export async function work(context: RunContext, o: WorkOptions): Promise<WorkOutcome> {
  const { ledger, admission, stop, progress } = context;
  // Unbounded, because the listing never waits for the chunks.
  const numbers = new BoundedQueue<number>({ items: Infinity });
  const listed: ListOutcome = { unlisted: false, unfinished: [] };
  progress.tally.listingDone = !o.listing;
  try {
    const planned = await ledger.read(async (database) => countPlanned(database, ledger.instance, o.selection));
    Object.assign(progress.tally, {
      listed: planned.contracts,
      enriched: planned.loaded,
      chunks: planned.chunks,
      chunksLoaded: planned.chunksLoaded,
    });
    ledger.numbers.startAfter(await ledger.read(async (database) => lastChunk(database, ledger.instance)));
    // Wait for both even if one fails, because nothing may run while the run is closed.
    const [listing, working] = await Promise.allSettled([
      list(context, { ...o, numbers, outcome: listed }).catch((error: unknown) => {
        stop.fail(error);
        throw error;
      }),
      workChunks(context, numbers, { selection: o.selection }),
    ]);
    if (listing.status === 'rejected') throw listing.reason;
    if (working.status === 'rejected') throw working.reason;
    const left = o.selection.wholeChunks ? listed.unfinished.filter((number) => !working.value.has(number)) : [];
    return { listFailure: listed.failure, unlisted: listed.unlisted, left };
  } catch (error) {
    const { failure: listFailure, unlisted } = listed;
    return { listFailure, unlisted, error: stop.signal.aborted ? stop.signal.reason : error };
  } finally {
    await admission.idle();
  }
}

interface ListOutcome {
  failure?: unknown;
  unlisted: boolean;
  /** Chunks that an earlier run left unfinished. */
  unfinished: readonly number[];
}

/** Hands on the numbers of the chunks that an earlier run left unfinished, then lists and hands on the new ones. */
async function list(
  context: RunContext,
  o: WorkOptions & { numbers: BoundedQueue<number>; outcome: ListOutcome },
): Promise<void> {
  const { ledger, stop, progress } = context;
  const { numbers, outcome } = o;
  try {
    outcome.unfinished = await ledger.read(async (database) =>
      unfinishedChunks(database, ledger.instance, o.selection),
    );
    // oxlint-disable-next-line no-await-in-loop -- numbers are handed on in order
    for (const number of outcome.unfinished) await numbers.push(number);
    const obstacle = o.listing ? listingObstacle({ job: context.job, apis: context.lookups.apis }) : undefined;
    if (obstacle) {
      outcome.unlisted = true;
      stop.request(obstacle);
    } else if (o.listing)
      await listContracts(context, { limit: o.limit, onChunk: async (number) => numbers.push(number) });
  } catch (error) {
    outcome.unlisted = error instanceof StopReason || error instanceof ApiRestsError;
    if (!(error instanceof NightfillError) || error instanceof DatabaseGoneError || stop.signal.aborted) throw error;
    if (error instanceof ApiRestsError) stop.request(listingCutOff(error, context));
    else if (!outcome.unlisted) outcome.failure = error;
  } finally {
    progress.tally.phase = 'enriching';
    numbers.close();
  }
}

/** Why the listing was cut off: its API rests for longer than the night has, or the deadline came first. */
function listingCutOff(
  error: ApiRestsError,
  { job, admission: { finishBy }, progress: { tally } }: RunContext,
): StopReason {
  if (!error.outOfTime || !finishBy) return apiRests(error);
  return new StopReason(
    'DEADLINE',
    `${deadlineText(finishBy, job)} came before the listing had ended, after ${tally.pages} pages with ${tally.listed} new contracts; the next run continues it`,
  );
}
