import { readChunk } from '../../ledger/planned-work.ts';
import type { PlannedChunk, WorkSelection } from '../../ledger/planned-contract.ts';
import { workChunk, type ChunkOutcome } from '../load/chunk.ts';
import type { RunContext } from './run-context.ts';
import { apiRests, StopReason } from './stop-reason.ts';

/**
 * Works on chunks as their numbers come, several at once so that a slow contract delays no other chunk, within the memory
 * limit. Gives the numbers of the chunks worked on when all have ended; the first error stops the run and is thrown.
 * `onStop` gets each reason to admit no more chunks.
 */
export async function workChunks(
  context: RunContext,
  numbers: AsyncIterable<number> | Iterable<number>,
  {
    selection,
    onStop = (reason) => context.stop.request(reason),
  }: {
    selection: WorkSelection;
    onStop?: (reason: StopReason) => void;
  },
): Promise<Set<number>> {
  const { admission, ledger, stop } = context;
  // Not a Scope, because memory and quota decide admission, and the loop has to wait for any open chunk to end.
  const open = new Set<Promise<void>>();
  const worked = new Set<number>();
  let openContracts = 0;
  let broken: { error: unknown } | undefined;
  const fail = (error: unknown): void => {
    // Stop now, because the loop may be waiting for the next number.
    broken ??= { error };
    stop.fail(error);
  };
  const work = async (chunk: PlannedChunk): Promise<void> => {
    try {
      const outcome = await workChunk(chunk, context, {
        wholeChunk: selection.wholeChunks ?? false,
        onRest: (error) => onStop(apiRests(error)),
      });
      const { refusal } = admission.deadline;
      if (refusal) onStop(refusal);
      if (!outcome) return;
      worked.add(chunk.number);
      admission.deadline.loaded(chunk);
      const failing = mostlyFailing(context, outcome);
      if (failing) onStop(failing);
    } catch (error) {
      fail(error);
    }
  };
  /** Waits until the quotas allow the chunk; gives the reason when they do not although no other chunk is open. */
  const quotaObstacle = async (chunk: PlannedChunk): Promise<StopReason | undefined> => {
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop -- quotas and open chunks change while it waits
      await admission.shareQuotas();
      // No `await` from here to the reason: if the last open chunk ended in between, there would be no obstacle.
      if (admission.quotaAllows(chunk, { open: openContracts })) return undefined;
      if (open.size === 0) return admission.quotaReason(chunk);
      // Estimates are upper bounds, so a chunk that ends may free quota.
      // oxlint-disable-next-line no-await-in-loop -- quotas and open chunks change while it waits
      await Promise.race(open);
    }
  };
  try {
    for await (const number of numbers) {
      // oxlint-disable-next-line no-await-in-loop -- the wait is the back pressure
      while (open.size > 0 && !admission.hasRoom(open.size)) await Promise.race(open);
      const chunk = await ledger.read(async (database) =>
        readChunk(database, { instance: ledger.instance, number }, selection),
      );
      const { length } = chunk.contracts;
      if (length === 0) continue;
      // oxlint-disable-next-line no-await-in-loop -- the wait is the back pressure
      const obstacle = await quotaObstacle(chunk);
      if (obstacle) onStop(obstacle);
      if (stop.stopping.aborted) break;
      openContracts += length;
      const working: Promise<void> = work(chunk).finally(() => {
        open.delete(working);
        openContracts -= length;
      });
      open.add(working);
    }
  } catch (error) {
    fail(error);
  } finally {
    await Promise.all(open);
  }
  if (broken) throw broken.error;
  return worked;
}

/** Fewest contracts that must have ended before their share of failures means anything. */
const meaningfulSample = 100;

/** The reason to stop when more contracts fail than `failures.stopAbove` allows. */
function mostlyFailing({ job, progress: { tally } }: RunContext, { failed }: ChunkOutcome): StopReason | undefined {
  const done = tally.enriched + tally.degraded + tally.failed;
  const share = tally.failed / Math.max(1, done);
  if (failed === 0 || done < meaningfulSample || share <= job.failures.stopAbove) return undefined;
  const percent = (value: number): string => `${Math.round(value * 1_000) / 10}%`;
  return new StopReason(
    'MOSTLY_FAILING',
    `${tally.failed} of ${done} contracts failed (${percent(share)}), more than failures.stopAbove allows (${percent(job.failures.stopAbove)})`,
  );
}
