import { workChunk, type ChunkOutcome } from '../load/chunk.ts';
import { persist } from '../run/persist.ts';
import { readChunk, type PlannedChunk, type WorkSelection } from '../plan/list-contracts.ts';
import { QuotaGate } from './quota-gate.ts';
import type { RunContext } from '../run/run-context.ts';
import { apiRests, StopReason } from '../run/stop-reason.ts';

/** Contracts and bytes of rows that may stand between the answers and Postgres. */
const mostOpenContracts = 20_000;
const mostOpenBytes = 64 * 2 ** 20;

/**
 * Works on chunks as their numbers come, several at once so that a slow contract delays no other chunk, and no more than
 * memory holds. Ends when all have ended; the first thing that throws aborts the rest through `abort` and is thrown.
 */
export async function workChunks(
  context: RunContext,
  numbers: AsyncIterable<number>,
  o: { selection: WorkSelection; abort: (error: unknown) => void; stop: (reason: StopReason) => void },
): Promise<void> {
  const open = new Set<Promise<void>>();
  const quotas = new QuotaGate(context);
  let openContracts = 0;
  let broken: { error: unknown } | undefined;
  const fail = (error: unknown): void => {
    // Told now and not at the end: the next number may be long in coming, and nobody would listen till then.
    broken ??= { error };
    o.abort(error);
  };
  const work = async (chunk: PlannedChunk): Promise<void> => {
    try {
      const outcome = await workChunk(chunk, context, {
        wholeChunk: o.selection.wholeChunks ?? false,
        onRest: (error) => o.stop(apiRests(error)),
      });
      const { refusal } = context.admission;
      if (refusal) o.stop(refusal);
      if (!outcome) return;
      context.plan.worked.add(chunk.number);
      context.admission.loaded(chunk);
      stopWhenMostlyFailing(context, outcome, o.stop);
    } catch (error) {
      fail(error);
    }
  };
  try {
    for await (const number of numbers) {
      while (open.size > 0 && !hasRoom(context, open.size)) await Promise.race(open);
      const chunk = await persist(async () => readChunk(context, number, o.selection), context);
      const { length } = chunk.contracts;
      if (length === 0) continue;
      for (;;) {
        await context.quotas.share();
        if (quotas.allows(length, { open: openContracts })) break;
        if (open.size === 0) {
          o.stop(quotas.reason(length));
          break;
        }
        // What has begun mostly takes less than it might, so its end may make room.
        await Promise.race(open);
      }
      if (context.stopping.aborted) break;
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
}

/** Whether memory holds another chunk, judged by the bytes of the rows seen so far; the workers' own needs come first. */
function hasRoom({ job, tally, workers }: RunContext, openChunks: number): boolean {
  const open = openChunks * job.chunk.size;
  if (open < 2 * workers) return true;
  const done = tally.enriched + tally.degraded + tally.failed;
  if (done === 0 || open >= mostOpenContracts) return false;
  const bytesPerContract = Math.max(tally.bufferedBytes / open, tally.fetchedBytes / done);
  return (open + job.chunk.size) * bytesPerContract < mostOpenBytes;
}

/** Fewest contracts that must have ended before their share of failures means anything. */
const meaningfulSample = 100;

function stopWhenMostlyFailing(
  { job, tally }: RunContext,
  { failed }: ChunkOutcome,
  stop: (reason: StopReason) => void,
): void {
  const done = tally.enriched + tally.degraded + tally.failed;
  const share = tally.failed / Math.max(1, done);
  if (failed === 0 || done < meaningfulSample || share <= job.failures.stopAbove) return;
  const percent = (value: number): string => `${Math.round(value * 1_000) / 10}%`;
  stop(
    new StopReason(
      'MOSTLY_FAILING',
      `${tally.failed} of ${done} contracts failed (${percent(share)}), more than failures.stopAbove allows (${percent(job.failures.stopAbove)})`,
    ),
  );
}
