import { z } from 'zod';

/** The report's shape, `schemaVersion` 1.0. Times are UTC RFC 3339, amounts are decimal strings, durations milliseconds. */

const count = z.int().nonnegative();
const milliseconds = z.number().nonnegative();
const amount = z
  .string()
  .regex(/^-?\d+(\.\d+)?$|^NaN$|^-?Infinity$/)
  .describe('a decimal number, exact');
const time = z.iso.datetime({ offset: false });
const date = z.iso.date();
const digest = z.string().regex(/^[0-9a-f]{64}$/);
const currency = z
  .string()
  .nullable()
  .describe('the value the sums are split by; null when they are not, or where it is NULL');

const runStatus = z.enum(['succeeded', 'partial', 'controls-failed', 'failed', 'stopped', 'crashed', 'running']);

const counts = z.strictObject({
  sourceTotal: z.int().nonnegative().nullable().describe("the source's own count; null when it gives none"),
  listed: count.describe('distinct contracts of the plan: enriched + degraded + failed + notStarted'),
  duplicates: count.describe('records listed again under a key that was listed already'),
  enriched: count,
  degraded: count.describe('loaded with a last known value'),
  failed: count,
  notStarted: count,
  inserted: count,
  updated: count,
  unchanged: count,
  staged: count
    .optional()
    .describe(
      'of commit: run: enriched or degraded, and held back, because the night has not switched into the target',
    ),
  missing: count.describe('contracts of the night compared with (previous) that were not listed this time'),
});

const currencyAmount = z.strictObject({ column: z.string(), currency, amount });

const apiFigures = z.strictObject({
  name: z.string(),
  requests: count.describe('requests written to a socket, retries included'),
  retries: count,
  timeouts: count,
  statuses: z.record(z.string(), count),
  rateLimited: count,
  waitedMs: milliseconds.describe('waited for permits of the rate windows, summed over requests'),
  latencyMs: z.strictObject({ p50: milliseconds, p95: milliseconds, p99: milliseconds, max: milliseconds }),
  rates: z.array(
    z.strictObject({
      requests: count.describe('the limit kept, headroom deducted'),
      perMs: milliseconds,
      peak: count.describe('the most requests sent within any interval of that length'),
    }),
  ),
  concurrency: z.strictObject({
    limit: count,
    peak: count,
    settled: count.optional().describe('what refusals lowered it to, where they did'),
  }),
  breaker: z.strictObject({ opened: count, finalState: z.enum(['closed', 'open', 'half-open', 'isolated']) }),
});

const advice = z.strictObject({
  action: z.enum(['retry-now', 'retry-after', 'fix-config', 'fix-record', 'never']),
  after: time.optional(),
});

const failure = z.strictObject({
  key: z.string().nullable().describe('the contract; null for a failure of the listing itself'),
  chunk: count.nullable(),
  stage: z.enum(['list', 'lookup', 'map', 'load']),
  api: z.string().nullable(),
  lookup: z.string().nullable(),
  code: z.string(),
  class: z.enum(['transient', 'config', 'data', 'system']),
  httpStatus: z.int().optional(),
  message: z.string(),
  attempts: count,
  amount: amount.optional().describe('what is known of the first summed column'),
  currency: z.string().optional(),
  advice,
});

const control = z.strictObject({
  name: z.string(),
  type: z.enum(['completeness', 'count', 'sum', 'keys', 'stale', 'listed', 'change', 'variance']),
  currency: z.string().nullable().optional(),
  expected: z.string(),
  actual: z.string(),
  delta: z.string(),
  tolerance: z.string().describe('an amount, or a share such as 0.1%; of listed and change the share that fails'),
  severity: z.enum(['fail', 'warn']).describe('whether it counts for the exit code or is only said'),
  result: z.enum(['pass', 'fail', 'not-evaluated']),
});

export const reportSchema = z.strictObject({
  schemaVersion: z.literal('1.0'),
  generator: z.strictObject({ name: z.literal('nightfill'), version: z.string(), node: z.string() }),
  run: z.strictObject({
    id: z.uuid(),
    job: z.string(),
    businessDate: date,
    timezone: z.string(),
    purpose: z
      .enum(['night', 'sample', 'dry-run'])
      .describe('sample: of --limit, apart from the night; dry-run: its rows were taken back'),
    mode: z.enum(['normal', 'continue', 'rerun', 'dry-run']),
    trigger: z.enum(['manual', 'cron', 'schedule', 'worker']),
    rerunOf: z.uuid().nullable(),
    rootRun: z.uuid(),
    status: runStatus,
    exitCode: z.int(),
    reason: z.string().nullable().describe('why it stopped or failed'),
    startedAt: time,
    finishedAt: time,
    durationMs: milliseconds,
    configSha256: digest,
    database: z.string(),
    overNewer: z
      .strictObject({ businessDate: date, runId: z.uuid() })
      .nullable()
      .describe('the newer night over whose rows this run loaded older ones, because --over-newer said so'),
  }),
  counts,
  amounts: z.array(
    z.strictObject({
      column: z.string(),
      currency,
      listed: amount.describe('what the sources said of the contracts, as far as known'),
      loaded: amount.describe('read back from the target in the transaction that loaded it'),
      failed: amount,
      notStarted: amount,
      staged: amount.optional().describe('held back with the contracts of counts.staged'),
      variance: amount.describe('listed - loaded - failed - notStarted, and - staged where there is any'),
      unknown: z
        .strictObject({ failed: count, notStarted: count })
        .describe('contracts whose amount nobody said: it is in none of these sums'),
    }),
  ),
  controls: z.array(control),
  stale: z.array(
    z.strictObject({ lookup: z.string(), contracts: count, oldestAsOf: time, amounts: z.array(currencyAmount) }),
  ),
  marked: z
    .strictObject({
      contracts: count.describe('rows of this job that bear a mark after this run'),
      tonight: count.describe('of them, those not listed for the first time on this business date'),
      amounts: z.array(currencyAmount).describe('the money on all of them, as the target has it'),
      reason: z.string().nullable().describe('why this run marked none; null when it marked what was to mark'),
    })
    .nullable()
    .describe('with missing: mark; null otherwise, and of a sample, a dry run and a run that broke'),
  chunks: z.array(
    z.strictObject({
      number: count,
      status: z.enum(['succeeded', 'partial', 'failed', 'not-started']),
      contracts: count,
      failed: count,
      attempts: count,
      inserted: count,
      updated: count,
      unchanged: count,
      durationMs: milliseconds,
      digest: digest
        .nullable()
        .describe("SHA-256 of the chunk's rows as they stood in the target; chained over attempts"),
      reason: z.string().nullable().describe('why it was not started; null when it was, or when the run died unasked'),
      advice: advice.nullable(),
    }),
  ),
  failures: z.array(failure).describe('complete up to 10,000'),
  failuresOmitted: count.describe('failures beyond the 10,000 shown; the database has them all'),
  apis: z.array(apiFigures).describe('of this run; those of earlier runs stand in their own reports'),
  timing: z.strictObject({
    finishBy: time.nullable(),
    met: z.boolean().nullable(),
    phases: z.strictObject({ listMs: milliseconds, enrichMs: milliseconds, loadMs: milliseconds }),
    idealMs: milliseconds.describe("the earliest legal finish of this run's requests under the limits"),
    efficiency: z.number().min(0).describe('idealMs / time from the first request to the last load'),
  }),
  tasks: z
    .array(
      z.strictObject({
        kind: z.string().describe('contract, load, or lookup and its name'),
        count,
        succeeded: count,
        failed: count,
        totalMs: milliseconds,
        averageMs: milliseconds,
        p50: milliseconds,
        p95: milliseconds,
        p99: milliseconds,
        max: milliseconds,
      }),
    )
    .describe('how the pieces of work of this run fared, waits for limits and retries included'),
  process: z.strictObject({
    eventLoopDelayMs: z
      .strictObject({ p99: milliseconds, max: milliseconds })
      .describe('how late the event loop came to its work; above 200 something blocked it'),
    peakMemoryBytes: count.describe('the most memory the process held'),
  }),
  attempts: z.array(
    z.strictObject({
      runId: z.uuid(),
      mode: z.enum(['normal', 'continue', 'rerun', 'dry-run']),
      status: runStatus,
      exitCode: z.int().nullable(),
      startedAt: time,
      finishedAt: time.nullable(),
      contracts: count.describe('worked on by this run'),
      loaded: count,
    }),
  ),
  previous: z
    .strictObject({
      runId: z.uuid(),
      businessDate: date,
      status: runStatus.describe('of that night: it is compared with whatever its status'),
      counts,
      amounts: z.array(currencyAmount),
      changes: z.array(
        z.strictObject({
          column: z.string(),
          currency,
          added: amount.describe('of contracts that were not listed then'),
          removed: amount.describe('of contracts that are not listed any more'),
          changed: amount.describe('of contracts listed both times, now less then'),
          before: amount.describe('all that was known then'),
          after: amount.describe(
            'all that is known now: before + added - removed + changed, less notComparable.before, plus notComparable.after',
          ),
        }),
      ),
      notComparable: z
        .array(z.strictObject({ column: z.string(), currency, contracts: count, before: amount, after: amount }))
        .describe('contracts listed both times whose amount is not known on both nights'),
    })
    .nullable()
    .describe('the latest earlier business date whose listing was whole and which was closed; null of a sample'),
  integrity: z.strictObject({
    algorithm: z.literal('sha256 of RFC 8785 canonical JSON without integrity'),
    sha256: digest,
    previousSha256: digest.nullable().describe("the digest of the job's previous report"),
  }),
});

export type Report = z.infer<typeof reportSchema>;
export type ReportBody = Omit<Report, 'integrity'>;
export type ApiFigures = z.infer<typeof apiFigures>;
export type ControlResult = z.infer<typeof control>;
export type CurrencyAmount = z.infer<typeof currencyAmount>;
