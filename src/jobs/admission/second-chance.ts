import { BoundedQueue } from '../../resilience/bounded-queue.ts';
import { persist } from '../run/persist.ts';
import { hasSecondChance } from '../plan/list-contracts.ts';
import type { RunContext } from '../run/run-context.ts';
import type { StopReason } from '../run/stop-reason.ts';
import { workChunks } from './work-chunks.ts';

/** Asks once more, a single time, for contracts that failed in this run for a transient cause, unless the API wants a longer wait. */
export async function secondChance(
  context: RunContext,
  handlers: { abort: (error: unknown) => void; stop: (reason: StopReason) => void },
): Promise<void> {
  const failed = async () =>
    context.database.query<{ chunk: number; failed: number }>(
      `SELECT chunk, count(*)::integer AS failed FROM nightfill.failure
       WHERE instance = $1 AND ${hasSecondChance('$2')}
       GROUP BY chunk ORDER BY chunk`,
      [context.instance, context.run],
    );
  const { rows } = await persist(failed, context);
  if (rows.length === 0) return;
  const again = rows.reduce((sum, row) => sum + row.failed, 0);
  context.log.info({ contracts: again }, 'second chance for contracts that failed for a transient cause');
  context.tally.phase = 'second-chance';
  context.tally.failed -= again;
  context.tally.begun -= again;
  const numbers = new BoundedQueue<number>({ items: Infinity });
  for (const { chunk } of rows) await numbers.push(chunk);
  numbers.close();
  let refusal: StopReason | undefined;
  // Asked once: what a retry could mend was mended, and the chance is that time has passed.
  await workChunks({ ...context, attempts: 1 }, numbers, {
    selection: { secondChanceOf: context.run },
    abort: handlers.abort,
    stop: (reason) => {
      // Everything has had its turn by now: what stays failed is for a rerun, and the run did not stop.
      if (reason.code !== 'DEADLINE' && reason.code !== 'API_RESTS') return handlers.stop(reason);
      refusal ??= reason;
    },
  });
  if (refusal) context.log.warn({ reason: refusal.message }, 'no second chance for what is left');
}
