import { z } from 'zod';
import {
  count,
  milliseconds,
  amount,
  time,
  date,
  digest,
  column,
  currency,
  runStatus,
  runMode,
  counts,
  currencyAmount,
  apiFigures,
  advice,
  failure,
  control,
} from './schema-parts.ts';

/** The report's shape, `schemaVersion` 1.0. Times are UTC RFC 3339, amounts are decimal strings, durations milliseconds. */

export const reportSchema = z.strictObject({
  schemaVersion: z.literal('1.0').describe('the version of this format'),
  generator: z
    .strictObject({
      name: z.literal('nightfill').describe('the program'),
      version: z.string().describe('of Nightfill'),
      node: z.string().describe('the version of Node.js'),
    })
    .describe('what wrote the report'),
  run: z
    .strictObject({
      id: z.uuid().describe('a UUIDv7: sorts by start'),
      job: z.string().describe('the name in the job file'),
      businessDate: date.describe('the day the run is for'),
      timezone: z.string().describe('of the business date'),
      purpose: z
        .enum(['night', 'sample', 'dry-run'])
        .describe('sample: of --limit, apart from the night; dry-run: its rows were taken back'),
      mode: runMode.describe('continue: run on an unfinished date; rerun: the command'),
      trigger: z
        .enum(['manual', 'cron', 'schedule', 'worker'])
        .describe('what started it, as --trigger says. worker is reserved in this version'),
      rerunOf: z.uuid().nullable().describe('the run that was named to rerun; null unless mode is rerun'),
      rootRun: z.uuid().describe('the first run of the chain of runs that continue or rerun one another'),
      status: runStatus.describe('how it ended; crashed and running occur in attempts only'),
      exitCode: z.int().describe('as the process ended'),
      reason: z.string().nullable().describe('why it stopped or failed; null when it did neither'),
      startedAt: time.describe('when the run began'),
      finishedAt: time.describe('when the report was made'),
      durationMs: milliseconds.describe('from startedAt to finishedAt'),
      configSha256: digest.describe('of what the job file means; comments and secrets do not change it'),
      database: z.string().describe('which database, without a password'),
      overNewer: z
        .strictObject({
          businessDate: date.describe('the date of the newer night'),
          runId: z.uuid().describe('its run'),
        })
        .nullable()
        .describe(
          'the newer night over whose rows this run loaded older ones, because --over-newer said so; otherwise null',
        ),
    })
    .describe('this run'),
  counts: counts.describe('how many contracts and rows, over all runs of the instance'),
  amounts: z
    .array(
      z.strictObject({
        column,
        currency,
        listed: amount.describe('what the sources said of the contracts, as far as known'),
        loaded: amount.describe('read back from the target in the transaction that loaded it'),
        failed: amount.describe('of failed contracts, as far as known'),
        notStarted: amount.describe('of contracts not started, from the listing'),
        staged: amount.optional().describe('held back, with the contracts of counts.staged'),
        variance: amount.describe('listed - loaded - failed - notStarted, and - staged where there is any'),
        unknown: z
          .strictObject({
            failed: count.describe('of failed contracts'),
            notStarted: count.describe('of contracts not started'),
          })
          .describe('contracts whose amount nobody said: it is in none of these sums, and never shown as 0.00'),
      }),
    )
    .describe('the money, one entry per summed column and currency'),
  controls: z.array(control).describe('checks that two independently obtained figures agree'),
  stale: z
    .array(
      z.strictObject({
        lookup: z.string().describe('the lookup'),
        contracts: count.describe('loaded with a last known value of it'),
        oldestAsOf: time.describe('when the oldest of those values was fetched'),
        amounts: z.array(currencyAmount).describe('the money of those contracts'),
      }),
    )
    .describe('what stands on last known values, one entry per lookup'),
  marked: z
    .strictObject({
      contracts: count.describe('rows of this job that are marked after this run'),
      tonight: count.describe('of them, those not listed for the first time on this business date'),
      amounts: z.array(currencyAmount).describe('the money on all of them, as the target has it'),
      reason: z.string().nullable().describe('why this run marked none; null when it marked what was to mark'),
    })
    .nullable()
    .describe('with missing: mark; null otherwise, and of a sample, a dry run and a run that was aborted'),
  chunks: z
    .array(
      z.strictObject({
        number: count.describe('from 1'),
        status: z
          .enum(['succeeded', 'partial', 'failed', 'not-started'])
          .describe('partial: some of its contracts failed'),
        contracts: count.describe('how many it has'),
        failed: count.describe('contracts that failed'),
        attempts: count.describe('transactions that recorded it'),
        inserted: count.describe('rows that are new in the target'),
        updated: count.describe('rows that changed'),
        unchanged: count.describe('rows that were right already'),
        durationMs: milliseconds.describe('fetching and loading, over all attempts'),
        digest: digest
          .nullable()
          .describe(
            "of the chunk's rows as they stood in the target, chained over attempts; null when none was loaded",
          ),
        reason: z
          .string()
          .nullable()
          .describe('why it was not started; null when it was, or when the run died before it could say'),
        advice: advice
          .nullable()
          .describe('what most of its failures are advised, or when to start it; null when there is nothing to do'),
      }),
    )
    .describe('the chunks of the plan, by number'),
  failures: z.array(failure).describe('contracts that are not loaded, complete up to 10,000'),
  failuresOmitted: count.describe('failures beyond the 10,000 shown; the database has all of them'),
  apis: z
    .array(apiFigures)
    .describe('the APIs, as this run saw them; figures of earlier runs are in their own reports'),
  timing: z
    .strictObject({
      finishBy: time.nullable().describe('the deadline; null without one'),
      met: z.boolean().nullable().describe('whether the run ended before it; null without one'),
      phases: z
        .strictObject({
          listMs: milliseconds.describe('from the first page to the stored plan'),
          enrichMs: milliseconds.describe('fetching, summed over chunks, which overlap'),
          loadMs: milliseconds.describe('loading, summed over chunks, which overlap'),
        })
        .describe('where the time went'),
      idealMs: milliseconds.describe("the earliest finish that the limits allow for this run's requests"),
      efficiency: z.number().min(0).describe('idealMs / time from the first request to the last load'),
    })
    .describe('how fast this run was'),
  tasks: z
    .array(
      z.strictObject({
        kind: z
          .string()
          .describe(
            'contract: one contract, all its lookups and its row; lookup NAME: one lookup of one contract, or its share of a batch; load: one chunk',
          ),
        count: count.describe('how many there were'),
        succeeded: count.describe('how many succeeded'),
        failed: count.describe(
          'how many failed; a contract failed here when it could not be fetched or mapped, what the target refused afterwards is in counts',
        ),
        totalMs: milliseconds.describe('their time, summed'),
        averageMs: milliseconds.describe('their time, per task'),
        p50: milliseconds.describe('the median'),
        p95: milliseconds.describe('95 of 100 were as fast or faster'),
        p99: milliseconds.describe('99 of 100 were as fast or faster'),
        max: milliseconds.describe('the slowest'),
      }),
    )
    .describe(
      'how long the pieces of work of this run took, one entry per kind, waits for limits and retries included',
    ),
  process: z
    .strictObject({
      eventLoopDelayMs: z
        .strictObject({
          p99: milliseconds.describe('99 of 100 samples were as low or lower'),
          max: milliseconds.describe('the highest'),
        })
        .describe('how late the event loop came to its work; above 200 something blocked it, and the log warns'),
      peakMemoryBytes: count.describe('the most memory the process held, in bytes'),
    })
    .describe('the process of this run'),
  attempts: z
    .array(
      z.strictObject({
        runId: z.uuid().describe('its id'),
        mode: runMode.describe('as run.mode'),
        status: runStatus.describe('as run.status; crashed: the process died, running: it is at work'),
        exitCode: z.int().nullable().describe('null while it runs and when it crashed'),
        startedAt: time.describe('when it began'),
        finishedAt: time.nullable().describe('when it ended; null while it runs and when it crashed'),
        contracts: count.describe('worked on by this run'),
        loaded: count.describe('loaded by this run'),
      }),
    )
    .describe('every run of the instance, oldest first'),
  previous: z
    .strictObject({
      runId: z.uuid().describe('its last run'),
      businessDate: date.describe('its date'),
      status: runStatus.describe('how that night ended'),
      counts: counts.describe('as counts, of that night'),
      amounts: z.array(currencyAmount).describe('the money loaded in that night'),
      changes: z
        .array(
          z.strictObject({
            column,
            currency,
            added: amount.describe('of contracts that were not listed then'),
            removed: amount.describe('of contracts that are not listed any more'),
            changed: amount.describe('of contracts listed both times: the amounts now, less those then'),
            before: amount.describe('all that was known then'),
            after: amount.describe(
              'all that is known now: before + added - removed + changed, less notComparable.before, plus notComparable.after',
            ),
          }),
        )
        .describe('what made the money change since'),
      notComparable: z
        .array(
          z.strictObject({
            column,
            currency: currency.describe('of the night that knows it'),
            contracts: count.describe('how many'),
            before: amount.describe('what was known of them then'),
            after: amount.describe('what is known of them now'),
          }),
        )
        .describe('contracts listed both times whose amount is not known on both nights'),
    })
    .nullable()
    .describe(
      'the latest earlier business date whose listing was complete and which was closed, whatever its status; null when there is none, and of a sample',
    ),
  integrity: z
    .strictObject({
      algorithm: z
        .literal('sha256 of RFC 8785 canonical JSON without integrity')
        .describe('how the digest is computed'),
      sha256: digest.describe('the digest of this report'),
      previousSha256: digest.nullable().describe("the digest of the job's previous report; null when there is none"),
    })
    .describe('makes a later change visible'),
});

export type Report = z.infer<typeof reportSchema>;
export type ReportBody = Omit<Report, 'integrity'>;
export type ApiFigures = z.infer<typeof apiFigures>;
export type ControlResult = z.infer<typeof control>;
export type CurrencyAmount = z.infer<typeof currencyAmount>;
