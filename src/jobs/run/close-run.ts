import { NightfillError, UsageError } from '../../resilience/failure.ts';
import { blockedAbove } from '../../resilience/event-loop-delay.ts';
import type { TaskFigures } from '../../resilience/task-metrics.ts';
import { buildReport, withVerdict } from '../../report/build.ts';
import { storeFigures, type RunFigures } from '../../report/figures.ts';
import type { Report } from '../../report/schema.ts';
import { storeReport } from '../../report/store.ts';
import type { ApiStatistics } from '../../sources/api/api.ts';
import { sumDefinitions } from '../load/amounts.ts';
import { failureRecord } from '../load/failure-record.ts';
import { isRefusedCredentials } from '../enrich/enrich.ts';
import { joinByHash } from '../../ledger/join-by-hash.ts';
import { completeInstance, discardInstance, lockInstance } from '../../ledger/instance.ts';
import { explainNotStarted } from '../../ledger/not-started.ts';
import { discardRun, finishRun } from '../../ledger/run.ts';
import { underLease } from '../../ledger/lease.ts';
import { markMissing } from '../load/mark-missing.ts';
import type { NewerNight } from './newer-night.ts';
import type { RunContext } from './run-context.ts';
import { forgetObsoleteStaged } from '../load/staging.ts';
import { judge } from './judge.ts';
import { readStanding } from './standing.ts';
import { StopReason } from './stop-reason.ts';

export interface RunEnd {
  listFailure?: unknown;
  error?: unknown;
  /** The run stopped before it listed. */
  unlisted?: boolean;
  /** Numbers of the whole chunks that were to be worked on anew and were not. */
  left?: readonly number[];
  stopReason: unknown;
  /** Why rows held back for the switch at the end were not switched. */
  heldBack?: string | undefined;
  /** Numbers of the chunks that the run was to work on; all when undefined. */
  chunks: readonly number[] | undefined;
  /** The instance was planned by an earlier run, so it stays whatever happens to this one. */
  planned: boolean;
  version: string;
  overNewer: NewerNight | null;
  finishBy: Date | null;
  workMs: number;
}

/** Stores a run's figures, judges it by its controls and its contracts, and gives its report, all in one transaction. */
export async function closeRun(context: RunContext, end: RunEnd): Promise<Report> {
  const { database, run, instance, job, tally } = context;
  const broken = end.error !== undefined && !(end.error instanceof StopReason);
  const lease = { job: job.name, token: context.token };
  const refusal = await refusedAtOnce(context, end);
  if (refusal) {
    await underLease(database, lease, async (client) => {
      if (!end.planned) return discardInstance(client, instance);
      await discardRun(client, run);
      // One that was complete, and was to be worked on anew, still is.
      await completeInstance(client, instance);
    });
    throw new UsageError(refusal.message, { code: refusal.code, cause: refusal });
  }
  const listFailure = end.listFailure ? failureRecord(end.listFailure, { stage: 'list' }) : undefined;
  const figures: Omit<RunFigures, 'marking' | 'standing'> = {
    generator: { name: 'nightfill', version: end.version, node: process.version },
    database: database.description,
    apis: [...context.apis.values()].map((api) => apiFigures(api.statistics())),
    tasks: context.metrics.figures().map(taskFigures),
    process: processFigures(context),
    phases: {
      listMs: Math.round(tally.listMs),
      enrichMs: Math.round(tally.enrichMs),
      loadMs: Math.round(tally.loadMs),
    },
    workMs: Math.round(end.workMs),
    finishBy: end.finishBy?.toISOString() ?? null,
    overNewer: end.overNewer,
    listFailure: listFailure ? listFailureFigures(listFailure, job.contracts.api) : null,
    sums: sumDefinitions(job),
    controls: job.controls,
    expectsTotal: job.contracts.total !== undefined,
  };
  const stopReason = end.stopReason instanceof StopReason ? end.stopReason : undefined;
  const left = end.left ?? [];
  const stopped = stopReason && withLeft(stopReason.message, left);
  const reason = broken ? messageOf(end.error) : (listFailure?.message ?? stopped ?? end.heldBack ?? null);
  // All or nothing: a run killed here leaves none that is closed without a report, and the next one closes the instance.
  return underLease(database, lease, async (client) => {
    await lockInstance(client, instance);
    const marking = broken ? null : await markMissing(client, context);
    const standing = broken ? null : await readStanding(client, context, { hurried: stopReason !== undefined });
    await storeFigures(client, run, { ...figures, marking, standing: standing ?? null });
    if (reason !== null)
      await explainNotStarted(client, {
        instance,
        token: context.token,
        chunks: end.chunks && [...end.chunks, ...context.plan.cut],
        // Of a listing that failed the run tells; its chunks were left for what stopped it.
        reason: (broken ? undefined : stopReason?.message) ?? reason,
        after: stopReason?.after,
      });
    // Judged on the report's own figures, which say how it was judged in turn.
    await finishRun(client, { run, status: 'failed', exitCode: 1, reason: null });
    await joinByHash(client);
    const { body, problems } = await buildReport(client, run);
    const verdict = judge(body, {
      broken,
      listFailed: listFailure !== undefined,
      // What could not be looked at once more is not known to be whole.
      unlisted: (end.unlisted ?? false) || standing === undefined || left.length > 0,
      booksBroken: problems.length > 0,
      stopReason,
    });
    const why = problems.length > 0 ? brokenBooks(problems, reason) : reason;
    await finishRun(client, { run, ...verdict, reason: why });
    await forgetObsoleteStaged(client, instance);
    if (!context.dryRun) await completeInstance(client, instance);
    const report = await storeReport(client, withVerdict(body, { ...verdict, reason: why }));
    if (context.dryRun) await discardInstance(client, instance);
    return report;
  });
}

/** The cause that the engineer must mend first, when nothing was planned or no chunk was committed: then it was no run at all. */
async function refusedAtOnce({ database, run, tally }: RunContext, { listFailure, error }: RunEnd) {
  if (listFailure instanceof NightfillError && listFailure.class === 'config' && tally.listed === 0) return listFailure;
  if (!(error instanceof NightfillError) || !isRefusedCredentials(error)) return undefined;
  const { rowCount } = await database.query(`SELECT FROM nightfill.chunk_attempt WHERE run = $1 LIMIT 1`, [run]);
  return rowCount === 0 ? error : undefined;
}

const brokenBooks = (problems: readonly string[], reason: string | null): string =>
  [`the books of this night do not balance, so none of its figures can be trusted: ${problems.join('; ')}`, reason]
    .filter((part) => part !== null)
    .join('. Besides: ');

const withLeft = (reason: string, left: readonly number[]): string =>
  left.length === 0
    ? reason
    : `${reason}; not fetched anew: ${left.length === 1 ? 'chunk' : 'chunks'} ${left.join(',')}, which rerun --chunk ${left.join(',')} --whole-chunks does`;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function listFailureFigures(
  { adviceAfter, advice, httpStatus, ...failure }: ReturnType<typeof failureRecord>,
  api: string,
): Report['failures'][number] {
  return {
    ...failure,
    key: null,
    chunk: null,
    api,
    ...(httpStatus !== null && { httpStatus }),
    advice: { action: advice, ...(adviceAfter !== null && { after: adviceAfter }) },
  };
}

const rounded = (value: number): number => Math.round(value * 100) / 100;

function taskFigures({ inFlight: _, ...figures }: TaskFigures): Report['tasks'][number] {
  const { totalMs, averageMs, p50, p95, p99, max } = figures;
  return {
    ...figures,
    totalMs: Math.round(totalMs),
    averageMs: rounded(averageMs),
    p50: rounded(p50),
    p95: rounded(p95),
    p99: rounded(p99),
    max: rounded(max),
  };
}

function processFigures({ eventLoop, log }: RunContext): Report['process'] {
  const { p99, max } = eventLoop.figures();
  if (max > blockedAbove)
    log.warn({ maxMs: Math.round(max) }, `something blocked the event loop for longer than ${blockedAbove} ms`);
  // Kilobytes, on every system.
  const peakMemoryBytes = process.resourceUsage().maxRSS * 1_024;
  return { eventLoopDelayMs: { p99: rounded(p99), max: rounded(max) }, peakMemoryBytes };
}

function apiFigures({ inFlight: _, currentRate: __, rests: ___, ...figures }: ApiStatistics): Report['apis'][number] {
  const { p50, p95, p99, max } = figures.latencyMs;
  return {
    ...figures,
    waitedMs: Math.round(figures.waitedMs),
    latencyMs: { p50: rounded(p50), p95: rounded(p95), p99: rounded(p99), max: rounded(max) },
    breaker: figures.breaker as Report['apis'][number]['breaker'],
  };
}
