import { earliestFinish } from '../resilience/earliest-finish.ts';
import { NightfillError } from '../resilience/failure.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import { readStale } from './amounts.ts';
import { readBooks } from './books.ts';
import { evaluateControls } from './controls.ts';
import { rfc3339, workOfRun, type RunFigures } from './figures.ts';
import { readPrevious } from './previous.ts';
import type { Report, ReportBody } from './schema.ts';

/** Failures shown in a report; the database has them all. */
const shownFailures = 10_000;

type RunRow = Omit<Report['run'], 'database' | 'durationMs' | 'overNewer'> & {
  instance: string;
  planned: boolean;
  figures: RunFigures;
};

/** A run's report, but for its digest, and what in its books cannot be. */
export interface BuiltReport {
  body: ReportBody;
  /** A sentence each; empty when the books balance. */
  problems: string[];
}

/** Makes a run's report from what the ledger holds; status and exit code are those the run row has by now. */
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
    attempts: await readAttempts(database, instance),
    previous,
  };
  return { body, problems: books.problems };
}

/** The same report with how the run was judged by it. */
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

async function readRun(database: Queryable, id: string): Promise<RunRow> {
  const { rows } = await database.query<RunRow>(
    `SELECT run.id, job, to_char(business_date, 'YYYY-MM-DD') AS "businessDate", timezone, purpose, mode, trigger,
       rerun_of AS "rerunOf", root_run AS "rootRun", run.status, exit_code AS "exitCode", reason,
       ${rfc3339('started_at')} AS "startedAt", ${rfc3339('finished_at')} AS "finishedAt",
       run.config_sha256 AS "configSha256", instance, instance.status <> 'planning' AS planned, figures
     FROM nightfill.run JOIN nightfill.instance ON instance.id = run.instance WHERE run.id = $1`,
    [id],
  );
  const row = rows[0];
  if (!row?.figures)
    throw new NightfillError({
      code: 'NO_REPORT',
      class: 'data',
      message: `run ${id} has no report: it ended before its figures were stored; the run that continued it has`,
    });
  return row;
}

// Absent from the figures of runs of versions that did not mark.
function markedRows({ marking }: RunFigures): Report['marked'] {
  if (!marking) return null;
  const { control: _, ...marked } = marking;
  return marked;
}

type ChunkRow = Omit<Report['chunks'][number], 'advice'> & { action: string | null; after: string | null };

async function readChunks(database: Queryable, instance: string): Promise<Report['chunks']> {
  // A chunk is advised what most of its failures are advised.
  const { rows } = await database.query<ChunkRow>(
    `SELECT number, status, contracts, chunk.failed, attempts, inserted, updated, unchanged, duration_ms AS "durationMs",
       digest, chunk.reason,
       CASE WHEN status <> 'not-started' THEN advised.advice WHEN retry_after IS NULL THEN 'retry-now' ELSE 'retry-after' END AS action,
       CASE WHEN status = 'not-started' THEN ${rfc3339('retry_after')} ELSE advised.after END AS after
     FROM nightfill.chunk LEFT JOIN LATERAL (
       SELECT advice, ${rfc3339('max(advice_after)')} AS after FROM nightfill.failure
       WHERE failure.instance = chunk.instance AND failure.chunk = chunk.number
       GROUP BY advice ORDER BY count(*) DESC, advice LIMIT 1
     ) AS advised ON true
     WHERE instance = $1 ORDER BY number`,
    [instance],
  );
  return rows.map(({ action, after, ...chunk }) => ({
    ...chunk,
    advice: action === null ? null : adviceOf(action, after),
  }));
}

const adviceOf = (action: string, after: string | null): Report['failures'][number]['advice'] => ({
  action: action as Report['failures'][number]['advice']['action'],
  ...(after !== null && { after }),
});

type Failure = Report['failures'][number];
type FailureRow = Omit<Failure, 'advice' | 'httpStatus' | 'amount' | 'currency'> & {
  optional: Pick<Failure, 'httpStatus' | 'amount' | 'currency'>;
  advice: string;
  after: string | null;
  total: number;
};

async function readFailures(
  database: Queryable,
  instance: string,
  { sums, listFailure }: RunFigures,
): Promise<Pick<Report, 'failures' | 'failuresOmitted'>> {
  const { rows } = await database.query<FailureRow>(
    `SELECT failure.key, failure.chunk, stage, api, lookup, code, class, message, attempts, advice,
       json_strip_nulls(json_build_object('httpStatus', http_status, 'amount', amount::text, 'currency', currency)) AS optional,
       ${rfc3339('advice_after')} AS after, count(*) OVER ()::integer AS total
     FROM nightfill.failure
     LEFT JOIN nightfill.contract_amount AS known
       ON known.instance = failure.instance AND known.key = failure.key AND known.column_name = $2
     WHERE failure.instance = $1 ORDER BY failure.chunk, failure.key COLLATE "C" LIMIT ${shownFailures}`,
    [instance, sums[0]?.column ?? null],
  );
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

async function readAttempts(database: Queryable, instance: string): Promise<Report['attempts']> {
  const { rows } = await database.query<Report['attempts'][number]>(
    `SELECT run.id AS "runId", mode, status, exit_code AS "exitCode", ${rfc3339('started_at')} AS "startedAt",
       ${rfc3339('run.finished_at')} AS "finishedAt", work.contracts, work.loaded
     FROM nightfill.run CROSS JOIN LATERAL (${workOfRun}) AS work
     WHERE run.instance = $1 ORDER BY started_at, run.id`,
    [instance],
  );
  return rows;
}

function timing({ finishedAt }: Pick<RunRow, 'finishedAt'>, figures: RunFigures): Report['timing'] {
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
