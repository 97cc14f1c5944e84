import { JobRunningError } from './ledger/lease.ts';
import { StopReason } from './jobs/run/stop-reason.ts';
import { harmlessLines } from './observe/terminal-text.ts';
import { NightfillError, UsageError } from './resilience/failure.ts';
import { writeLines, type Terminal } from './session/terminal.ts';

/** Says what went wrong, in a sentence, and gives the exit code. Stack traces are for NIGHTFILL_LOG_LEVEL=debug. */
export function exitCodeOf(error: unknown, { stderr, environment }: Pick<Terminal, 'stderr' | 'environment'>): number {
  const known = error instanceof NightfillError;
  const message = error instanceof Error ? error.message : String(error);
  const sentence = `nightfill: ${known ? '' : 'unexpected error: '}${message}`;
  writeLines(stderr, harmlessLines(sentence, known ? error.code : undefined));
  if (error instanceof StopReason) return error.exitCode ?? 6;
  if (error instanceof UsageError) return 2;
  if (error instanceof JobRunningError) return 5;
  if (!known && environment['NIGHTFILL_LOG_LEVEL'] === 'debug' && error instanceof Error)
    writeLines(stderr, (error.stack ?? '').split('\n'));
  return 1;
}
