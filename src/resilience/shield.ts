import type { Clock } from './clock.ts';
import { withTimeout } from './timeout.ts';

/**
 * Runs a critical piece (a commit, a release) to its end although its parent is cancelled: the signal it gets follows
 * nobody's. With `limit` milliseconds even a shielded piece cannot hold up a shutdown forever; then a TimeoutError.
 */
export async function shield<T>(
  task: (signal: AbortSignal) => Promise<T>,
  { limit = Infinity, clock }: { limit?: number; clock?: Clock } = {},
): Promise<T> {
  return withTimeout(limit, task, clock ? { clock } : {});
}
