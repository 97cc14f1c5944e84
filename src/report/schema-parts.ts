import { z } from 'zod';

/** The parts of which the report's shape is made. */

export const count = z.int().nonnegative();
export const milliseconds = z.number().nonnegative().meta({ kind: 'milliseconds' });
export const amount = z
  .string()
  .regex(/^-?\d+(\.\d+)?$|^NaN$|^-?Infinity$/)
  .meta({ kind: 'amount', description: 'a decimal number, exact' });
export const time = z.iso.datetime({ offset: false });
export const date = z.iso.date();
export const digest = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .meta({ kind: 'SHA-256' });
export const column = z.string().describe('a column of a sum control');
export const currency = z
  .string()
  .nullable()
  .describe('the value the sums are split by; null when they are not split, or where that value is NULL');

export const runStatus = z.enum(['succeeded', 'partial', 'controls-failed', 'failed', 'stopped', 'crashed', 'running']);
export const runMode = z.enum(['normal', 'continue', 'rerun', 'dry-run']);

export const counts = z.strictObject({
  sourceTotal: z.int().nonnegative().nullable().describe("the source's own count; null when it gives none"),
  listed: count.describe('distinct contracts of the plan: enriched + degraded + failed + notStarted'),
  duplicates: count.describe('records listed again under a key that was listed already'),
  enriched: count.describe('loaded, with a fresh answer for every lookup'),
  degraded: count.describe('loaded, with a last known value for at least one lookup'),
  failed: count.describe('not loaded; an earlier row is unchanged'),
  notStarted: count.describe('planned and never asked for'),
  inserted: count.describe('rows that are new in the target'),
  updated: count.describe('rows that changed'),
  unchanged: count.describe('rows that were right already and were not rewritten'),
  staged: count
    .optional()
    .describe(
      'with commit: run, enriched or degraded and held back, because the night has not switched into the target',
    ),
  missing: count.describe('contracts of the night compared with (previous) that were not listed this time'),
});

export const currencyAmount = z.strictObject({ column, currency, amount: amount.describe('the sum') });

export const apiFigures = z.strictObject({
  name: z.string().describe('as in the job file'),
  requests: count.describe('requests written to a socket, retries included'),
  retries: count.describe('attempts after the first of a request'),
  timeouts: count.describe('attempts ended by timeout'),
  statuses: z.record(z.string(), count).describe('answers by HTTP status'),
  rateLimited: count.describe('answers that said "too many requests", by whatever status'),
  waitedMs: milliseconds.describe('waited for permits of the rate windows, summed over requests'),
  latencyMs: z
    .strictObject({
      p50: milliseconds.describe('the median'),
      p95: milliseconds.describe('95 of 100 requests were as fast or faster'),
      p99: milliseconds.describe('99 of 100 requests were as fast or faster'),
      max: milliseconds.describe('the slowest'),
    })
    .describe('from the request being written to the last byte of its answer'),
  rates: z
    .array(
      z.strictObject({
        requests: count.describe('the limit kept, headroom deducted'),
        perMs: milliseconds.describe('the length of the window'),
        peak: count.describe('the most requests sent within any interval of that length'),
      }),
    )
    .describe('the rate windows'),
  concurrency: z
    .strictObject({
      limit: count.describe('as in the job file'),
      peak: count.describe('the most requests in flight at once'),
      settled: count.optional().describe('what refusals by the API lowered the limit to; absent where they did not'),
    })
    .describe('requests in flight'),
  breaker: z
    .strictObject({
      opened: count.describe('how often it opened'),
      finalState: z.enum(['closed', 'open', 'half-open', 'isolated']).describe('its state at the end of the run'),
    })
    .describe('the circuit breaker'),
});

export const advice = z.strictObject({
  action: z
    .enum(['retry-now', 'retry-after', 'fix-config', 'fix-record', 'never'])
    .describe(
      'retry-now and retry-after: rerun; fix-config: mend the job file, then rerun; fix-record: mend the record in its source, then rerun',
    ),
  after: time.optional().describe('with retry-after: not earlier'),
});

export const failure = z.strictObject({
  key: z.string().nullable().describe('the contract; null for a failure of the listing itself'),
  chunk: count.nullable().describe('its chunk; null for a failure of the listing itself'),
  stage: z.enum(['list', 'lookup', 'map', 'load']).describe('where it failed'),
  api: z.string().nullable().describe('the API that was asked; null when none was'),
  lookup: z.string().nullable().describe('the lookup that failed; null when none did'),
  code: z.string().describe('what happened; never changes its meaning, see errors.md'),
  class: z
    .enum(['transient', 'config', 'data', 'system'])
    .describe(
      'who can mend it. transient: time; config: who runs the job; data: who keeps the record; system: who runs the machine or database',
    ),
  httpStatus: z.int().optional().describe('the HTTP status; absent when there was no answer'),
  message: z.string().describe('a sentence without secrets'),
  attempts: count.describe('how often it was asked for in total, the second chance and earlier runs included'),
  amount: amount.optional().describe('what is known of the first summed column; absent when nothing is'),
  currency: z.string().optional().describe('of amount'),
  advice: advice.describe('what to do about it'),
});

export const control = z.strictObject({
  name: z.string().describe('what is compared, in words'),
  type: z
    .enum(['completeness', 'count', 'sum', 'keys', 'stale', 'listed', 'change', 'variance'])
    .describe(
      'what kind of control it is; docs/guide/report.md explains each. stale is reserved: nothing writes it in this version',
    ),
  currency: z.string().nullable().optional().describe('of sum, variance and change: the value the sums are split by'),
  expected: z.string().describe('the figure it should be'),
  actual: z.string().describe('the figure it is'),
  delta: z.string().describe('actual - expected'),
  tolerance: z.string().describe('an amount, or a share such as 0.1%; of listed and change the share that fails'),
  severity: z.enum(['fail', 'warn']).describe('fail: counts for the exit code; warn: is only reported'),
  result: z.enum(['pass', 'fail', 'not-evaluated']).describe('not-evaluated: a figure is not there'),
});
