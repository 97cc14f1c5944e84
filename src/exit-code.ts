import { JobRunningError } from './jobs/lease.ts';
import { StopReason } from './jobs/stop-reason.ts';
import { NightfillError, UsageError } from './resilience/failure.ts';
import type { Terminal } from './commands/terminal.ts';

/** Says what went wrong, in a sentence, and gives the exit code. Stack traces are for NIGHTFILL_LOG_LEVEL=debug. */
export function exitCodeOf(error: unknown, { stderr, environment }: Terminal): number {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof StopReason) {
    stderr.write(`nightfill: ${message}\n`);
    return error.exitCode ?? 6;
  }
  if (error instanceof UsageError) {
    stderr.write(`nightfill: ${message}\n`);
    return 2;
  }
  if (error instanceof JobRunningError) {
    stderr.write(`nightfill: ${message}\n`);
    return 5;
  }
  const known = error instanceof NightfillError;
  stderr.write(`nightfill: ${known ? '' : 'unexpected error: '}${message}\n`);
  if (!known && environment['NIGHTFILL_LOG_LEVEL'] === 'debug' && error instanceof Error)
    stderr.write(`${error.stack}\n`);
  return 1;
}
