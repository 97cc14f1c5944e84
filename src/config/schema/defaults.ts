import type { DurationText } from './duration.ts';
import type { ByteSizeText, PercentageText } from './quantity.ts';

interface Defaults {
  timezone: string;
  catchUp: 'last' | 'none';
  concurrency: number;
  headroom: PercentageText;
  quotaReserve: PercentageText;
  timeout: DurationText;
  maxResponse: ByteSizeText;
  retry: {
    attempts: number;
    backoff: 'exponential' | 'linear' | 'constant';
    baseDelay: DurationText;
    maxDelay: DurationText;
    jitter: boolean;
    maxElapsed: DurationText;
  };
  breaker: { openFor: DurationText; trials: number };
  firstPage: number;
  onFailure: 'fail' | 'last-known' | 'null';
  schema: string;
  create: boolean;
  missing: 'keep' | 'mark';
  markAtMost: PercentageText;
  chunkSize: number;
  commit: 'chunk' | 'run';
  stopAbove: PercentageText;
  listedChange: PercentageText;
  transformThreads: number;
}

/** The values of absent keys, written as in a job file. */
export const defaults = {
  timezone: 'UTC',
  catchUp: 'last',
  concurrency: 10,
  headroom: '0%',
  quotaReserve: '0%',
  timeout: '30s',
  maxResponse: '32MB',
  retry: {
    attempts: 5,
    backoff: 'exponential',
    baseDelay: '200ms',
    maxDelay: '30s',
    jitter: true,
    maxElapsed: '2m',
  },
  breaker: { openFor: '30s', trials: 5 },
  firstPage: 1,
  onFailure: 'fail',
  schema: 'public',
  create: true,
  missing: 'keep',
  markAtMost: '50%',
  chunkSize: 500,
  commit: 'chunk',
  stopAbove: '100%',
  listedChange: '50%',
  transformThreads: 2,
} as const satisfies Defaults;
