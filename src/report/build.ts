import { earliestFinish } from '../resilience/earliest-finish.ts';
import { NightfillError } from '../resilience/failure.ts';
import * as ledger from '../ledger/books/reported-rows.ts';
import type { AdviceAction } from '../ledger/failure.ts';
import { readStale } from '../ledger/books/stale.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import { readBooks } from './books.ts';
import { evaluateControls } from './controls.ts';
import type { RunFigures } from './figures.ts';
import { readPrevious } from './previous.ts';
import type { Report, ReportBody } from './schema.ts';

/** Failures shown in a report; the database has them all. */
const shownFailures = 10_000;

/** A run's report without its digest, and the contradictions in its books. */
export interface BuiltReport {
  body: ReportBody;
  /** A sentence each; empty when the books balance. */
  problems: string[];
}

/** Builds a run's report from the ledger; status and exit code are those that the run's row has now. */
export async function buildReport(database: Queryable, runId: string): Promise<BuiltReport> {
  const { instance, planned, figures, ...run } = await readRun(database, runId);
  const { sums } = figures;
  const books = await readBooks(database, { instance, sums });
  const previous = await readPrevious(database, { instance, sums });
  const { failures, failuresOmitted } = await readFailures(database, instance, figures);
  const body: ReportBody = {
    schemaVersion: '1.0',
    generator: figures.generator,
    run: {
      ...run,
      durationMs: Date.parse(run.finishedAt) - Date.parse(run.startedAt),
      database: figures.database,
      overNewer: figures.overNewer ?? null,
    },
    counts: books.counts,
    amounts: books.amounts.map(({ chunksOff: _, ...amount }) => amount),
    controls: await evaluateControls(database, {
      instance,
      figures,
      books,
      previous,
      planned,
      isNight: run.purpose === 'night',
    }),
    stale: await readStale(database, instance),
    marked: markedRows(figures),
    chunks: await readChunks(database, instance),
    failures,
    failuresOmitted,
    apis: figures.apis,
    timing: timing(run, figures),
    tasks: figures.tasks,
    process: figures.process,
    attempts: await ledger.readRunsOfInstance(database, instance),
    previous,
  };
  return { body, problems: books.problems };
}

/** The same report with the verdict on the run. */
export function withVerdict(
  body: ReportBody,
  verdict: Pick<Report['run'], 'status' | 'exitCode' | 'reason'>,
): ReportBody {
  const { status, exitCode } = verdict;
  return {
    ...body,
    run: { ...body.run, ...verdict },
    attempts: body.attempts.map((attempt) =>
      attempt.runId === body.run.id ? { ...attempt, status, exitCode } : attempt,
    ),
  };
}

async function readRun(
  database: Queryable,
  id: string,
): Promise<Omit<ledger.ReportedRun, 'figures'> & { figures: RunFigures }> {
  const row = await ledger.readReportedRun(database, id);
  if (!row?.figures)
    throw new NightfillError({
      code: 'NO_REPORT',
      class: 'data',
      message: `run ${id} has no report: it ended before its figures were stored; the run that continued it has`,
    });
  return { ...row, figures: row.figures as RunFigures };
}

// Absent from the figures of runs of versions that did not mark.
function markedRows({ marking }: RunFigures): Report['marked'] {
  if (!marking) return null;
  const { control: _, ...marked } = marking;
  return marked;
}

async function readChunks(database: Queryable, instance: string): Promise<Report['chunks']> {
  const rows = await ledger.readReportedChunks(database, instance);
  return rows.map(({ action, after, ...chunk }) => ({
    ...chunk,
    advice: action === null ? null : adviceOf(action, after),
  }));
}

const adviceOf = (action: AdviceAction, after: string | null): Report['failures'][number]['advice'] => ({
  action,
  ...(after !== null && { after }),
});

async function readFailures(
  database: Queryable,
  instance: string,
  { sums, listFailure }: RunFigures,
): Promise<Pick<Report, 'failures' | 'failuresOmitted'>> {
  const rows = await ledger.readReportedFailures(database, {
    instance,
    column: sums[0]?.column ?? null,
    limit: shownFailures,
  });
  const failures = rows.map(({ optional, advice, after, total: _, ...failure }) => ({
    ...failure,
    ...optional,
    advice: adviceOf(advice, after),
  }));
  return {
    failures: [...(listFailure ? [listFailure] : []), ...failures],
    failuresOmitted: (rows[0]?.total ?? 0) - rows.length,
  };
}

function timing({ finishedAt }: Pick<ledger.ReportedRun, 'finishedAt'>, figures: RunFigures): Report['timing'] {
  const { finishBy, phases, workMs, apis } = figures;
  const idealMs = Math.max(0, ...apis.map(idealOf));
  return {
    finishBy,
    met: finishBy === null ? null : finishedAt <= finishBy,
    phases,
    idealMs,
    efficiency: workMs === 0 ? 1 : Math.round((idealMs / workMs) * 1000) / 1000,
  };
}

/** The earliest legal finish of what an API was asked. */
function idealOf({ requests, rates, concurrency, latencyMs }: Report['apis'][number]): number {
  const windows = rates.map((rate) => ({ requests: rate.requests, per: rate.perMs }));
  const { ms } = earliestFinish({ requests, rates: windows, concurrency: concurrency.limit, latencyMs: latencyMs.p50 });
  return Math.round(ms);
}
