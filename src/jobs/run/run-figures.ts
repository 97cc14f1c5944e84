import type { FailureRecord } from '../../ledger/failure.ts';
import type { NewerNight } from '../../ledger/newer-night.ts';
import type { RunFigures } from '../../report/figures.ts';
import type { Report } from '../../report/schema.ts';
import { blockedAbove } from '../../resilience/event-loop-delay.ts';
import type { TaskFigures } from '../../resilience/task-metrics.ts';
import type { ApiStatistics } from '../../sources/api/api.ts';
import { sumDefinitions } from '../load/amounts.ts';
import type { RunContext } from './run-context.ts';

/** Facts about a run that only its process knows. */
export interface RunFacts {
  version: string;
  /** Description of the database, as the report shows it. */
  database: string;
  overNewer: NewerNight | null;
  /** Milliseconds from the run's start to the end of its work. */
  workMs: number;
}

/** A run's figures, except those that are read in the transaction that closes it. */
export function runFigures(
  context: RunContext,
  { version, database, overNewer, workMs }: RunFacts,
  listFailure: FailureRecord | undefined,
): Omit<RunFigures, 'marking' | 'standing'> {
  const { job, lookups, admission, progress } = context;
  const { listMs, enrichMs, loadMs } = progress.tally;
  return {
    generator: { name: 'nightfill', version, node: process.version },
    database,
    apis: [...lookups.apis.values()].map((api) => apiFigures(api.statistics())),
    tasks: progress.metrics.figures().map(taskFigures),
    process: processFigures(context),
    phases: { listMs: Math.round(listMs), enrichMs: Math.round(enrichMs), loadMs: Math.round(loadMs) },
    workMs: Math.round(workMs),
    finishBy: admission.finishBy?.toISOString() ?? null,
    overNewer,
    listFailure: listFailure ? listFailureFigures(listFailure, job.contracts.api) : null,
    sums: sumDefinitions(job),
    controls: job.controls,
    expectsTotal: job.contracts.total !== undefined,
  };
}

function listFailureFigures(
  { adviceAfter, advice, httpStatus, ...failure }: FailureRecord,
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

function processFigures({ progress: { eventLoop }, log }: RunContext): Report['process'] {
  const { p99, max } = eventLoop.figures();
  if (max > blockedAbove)
    log.warn({ maxMs: Math.round(max) }, `something blocked the event loop for longer than ${blockedAbove} ms`);
  // `maxRSS` is in kilobytes on every system.
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
