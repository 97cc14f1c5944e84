import type { PlannedChunk } from '../../ledger/planned-contract.ts';
import type { ApiRestsError } from '../../sources/api/api-rests-error.ts';
import type { EnrichedContract } from '../enrich/answer.ts';
import { enrichContract } from '../enrich/contract.ts';
import type { RunContext } from '../run/run-context.ts';
import { loadChunk, type EndedContract } from './load-chunk.ts';

export interface ChunkOutcome {
  enriched: number;
  degraded: number;
  failed: number;
}

/**
 * Works on one chunk: fetches its contracts, then loads their rows and records the failures, in one transaction. Gives
 * undefined, and leaves the chunk unchanged, when no contract was started because the run was stopping, the deadline was
 * too near or an API rested. When an API's rest interrupts the chunk, its contracts not started become a new chunk.
 */
export async function workChunk(
  chunk: PlannedChunk,
  context: RunContext,
  o: { wholeChunk?: boolean; onRest: (error: ApiRestsError) => void },
): Promise<ChunkOutcome | undefined> {
  const { clock, admission, progress } = context;
  const { tally } = progress;
  const begun = clock.now();
  const results = await enrichAll(chunk, context, o.onRest);
  const contracts = results.filter((result) => result.status !== 'not-started');
  if (contracts.length === 0) return undefined;
  const notStarted = results.filter(({ status }) => status === 'not-started').map(({ contract }) => contract.key);
  const enriched = clock.now();
  tally.enrichMs += enriched - begun;

  return admission.loads.add(async () => {
    const loading = clock.now();
    const record = await progress.metrics.measure('load', async () =>
      loadChunk(chunk, contracts, {
        context,
        notStarted,
        enrichMs: enriched - begun,
        wholeChunk: o.wholeChunk ?? false,
      }),
    );
    tally.loadMs += clock.now() - loading;
    tally.loads += 1;
    tally.bufferedBytes -= contracts.reduce((sum, contract) => sum + bytesOf(contract), 0);
    const degraded = record.loaded.filter(({ stale }) => stale.length > 0).length;
    const outcome = { enriched: record.loaded.length - degraded, degraded, failed: record.failed.length };
    correctTally(tally, contracts, outcome);
    if (record.attempt === 1) tally.chunksLoaded += 1;
    return outcome;
  });
}

async function enrichAll(
  chunk: PlannedChunk,
  context: RunContext,
  onRest: (error: ApiRestsError) => void,
): Promise<EnrichedContract[]> {
  const { admission, stop, progress } = context;
  const { tally } = progress;
  let begun: boolean | undefined;
  const results = await Promise.all(
    chunk.contracts.map(async (contract) =>
      admission.contracts.add(async () => {
        stop.signal.throwIfAborted();
        if (begun === undefined) {
          begun = !stop.stopping.aborted && admission.deadline.admits(chunk);
          if (begun) tally.begun += chunk.contracts.length;
        }
        if (!begun) return undefined;
        const result = await progress.metrics.measure('contract', async () => enrichContract(contract, context), {
          failed: ({ status }) => status === 'failed',
        });
        if (result.status === 'not-started') {
          tally.begun -= 1;
          onRest(result.rests);
          return result;
        }
        tally[provisionalOutcome(result)] += 1;
        tally.fetchedBytes += bytesOf(result);
        tally.bufferedBytes += bytesOf(result);
        progress.contractEnded();
        return result;
      }),
    ),
  );
  return results.filter((result) => result !== undefined);
}

const bytesOf = (contract: EndedContract): number =>
  contract.status === 'failed' ? 500 : contract.row.reduce((sum, text) => sum + 16 + (text?.length ?? 0), 100);

/** Corrects the running figures for rows that were refused by the load. */
function correctTally(tally: ChunkOutcome, contracts: readonly EndedContract[], outcome: ChunkOutcome): void {
  const before = { enriched: 0, degraded: 0, failed: 0 };
  for (const contract of contracts) before[provisionalOutcome(contract)] += 1;
  for (const name of ['enriched', 'degraded', 'failed'] as const) tally[name] += outcome[name] - before[name];
}

const provisionalOutcome = (contract: EndedContract): keyof ChunkOutcome =>
  contract.status === 'failed' ? 'failed' : contract.stale.length > 0 ? 'degraded' : 'enriched';
