import type { Clock } from './clock.ts';
import { withTimeout } from './timeout.ts';

/**
 * Runs a critical task (a commit, a release) to its end although the caller is cancelled: its signal is linked to no
 * other. After `limit` milliseconds it throws a TimeoutError, so that a shielded task cannot block a shutdown forever.
 */
export async function shield<T>(
  task: (signal: AbortSignal) => Promise<T>,
  { limit = Infinity, clock }: { limit?: number; clock?: Clock } = {},
): Promise<T> {
  return withTimeout(limit, task, clock ? { clock } : {});
}
