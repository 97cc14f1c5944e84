import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import { NightfillError, UsageError } from '../../resilience/failure.ts';
import { parseExactJson, type Json } from '../../sources/json/exact-json.ts';
import type { Job } from '../job.ts';

/** Longest time for one row, in milliseconds; after it the thread is stopped. */
const timeoutMs = 30_000;

/** Makes rows with the job's transform module, in worker threads so that heavy work does not block the event loop. */
export interface RowTransform extends AsyncDisposable {
  /** The columns that the module makes for a contract. Throws TRANSFORM_FAILED or TRANSFORM_TIMEOUT, which fail the contract. */
  row(parts: Record<string, Json>, signal: AbortSignal): Promise<Record<string, Json>>;
}

/** Starts the worker threads and loads the module in one of them. Throws UsageError when it cannot be loaded. */
export async function startTransform({ module, threads }: NonNullable<Job['transform']>): Promise<RowTransform> {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const pool = new Piscina({
    filename: fileURLToPath(new URL(`transform-worker.${extension}`, import.meta.url)),
    minThreads: 1,
    maxThreads: threads,
    maxQueue: Infinity,
  });
  try {
    await pool.run({ module }, { name: 'probe' });
  } catch (error) {
    await pool.destroy();
    throw new UsageError(`the transform ${module} cannot be used: ${(error as Error).message}`, {
      code: 'TRANSFORM_MODULE',
      cause: error,
    });
  }
  return {
    async row(parts, signal) {
      const timeout = AbortSignal.timeout(timeoutMs);
      try {
        const text = (await pool.run(
          { module, parts: JSON.stringify(parts) },
          { name: 'transform', signal: AbortSignal.any([signal, timeout]) },
        )) as string;
        return parseExactJson(text) as Record<string, Json>;
      } catch (error) {
        signal.throwIfAborted();
        throw new NightfillError({
          code: timeout.aborted ? 'TRANSFORM_TIMEOUT' : 'TRANSFORM_FAILED',
          class: 'data',
          message: timeout.aborted
            ? `the transform took longer than ${timeoutMs / 1_000} s and was stopped`
            : `the transform threw: ${(error as Error).message}`,
          cause: error,
        });
      }
    },
    [Symbol.asyncDispose]: async () => pool.destroy(),
  };
}
