import { earliestFinish } from '../resilience/earliest-finish.ts';
import { NightfillError } from '../resilience/failure.ts';
import type { Queryable } from '../sinks/postgres.ts';
import { readAmounts, readChanges, readStale } from './amounts.ts';
import { evaluateControls } from './controls.ts';
import { rfc3339, workOfRun, type RunFigures } from './figures.ts';
import type { Report, ReportBody } from './schema.ts';

/** Failures shown in a report; the database has them all. */
const shownFailures = 10_000;

type RunRow = Omit<Report['run'], 'database' | 'durationMs' | 'overNewer'> & {
  instance: string;
  planned: boolean;
  figures: RunFigures;
};

/** Makes a run's report from what the ledger holds; status and exit code are those the run row has by now. */
export async function buildReport(database: Queryable, runId: string): Promise<ReportBody> {
  const { instance, planned, figures, ...run } = await readRun(database, runId);
  const counts = await readCounts(database, instance);
  const { failures, failuresOmitted } = await readFailures(database, instance, figures);
  return {
    schemaVersion: '1.0',
    generator: figures.generator,
    run: {
      ...run,
      durationMs: Date.parse(run.finishedAt) - Date.parse(run.startedAt),
      database: figures.database,
      overNewer: figures.overNewer ?? null,
    },
    counts,
    amounts: await readAmounts(database, { instance, sums: figures.sums }),
    controls: await evaluateControls(database, { instance, figures, counts, planned }),
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
    previous: await readPrevious(database, { instance, run }),
  };
}

async function readRun(database: Queryable, id: string): Promise<RunRow> {
  const { rows } = await database.query<RunRow>(
    `SELECT run.id, job, to_char(business_date, 'YYYY-MM-DD') AS "businessDate", timezone, mode, trigger,
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

async function readCounts(database: Queryable, instance: string): Promise<Report['counts']> {
  const { rows } = await database.query<Report['counts'] & { staged: number | null }>(
    `SELECT source_total::float8 AS "sourceTotal", duplicates, totals.*, staged.staged, missing.missing
     FROM nightfill.instance,
     LATERAL (
       SELECT coalesce(sum(contracts), 0)::integer AS listed, coalesce(sum(enriched), 0)::integer AS enriched,
         coalesce(sum(degraded), 0)::integer AS degraded, coalesce(sum(failed), 0)::integer AS failed,
         coalesce(sum(contracts) FILTER (WHERE status = 'not-started'), 0)::integer AS "notStarted",
         coalesce(sum(inserted), 0)::integer AS inserted, coalesce(sum(updated), 0)::integer AS updated,
         coalesce(sum(unchanged), 0)::integer AS unchanged
       FROM nightfill.chunk WHERE chunk.instance = instance.id
     ) AS totals,
     LATERAL (
       SELECT nullif(count(*), 0)::integer AS staged FROM nightfill.staged WHERE staged.instance = instance.id
     ) AS staged,
     LATERAL (
       SELECT count(*)::integer AS missing FROM nightfill.contract AS before
       WHERE instance.status <> 'planning' AND before.instance = (${previousInstance('instance')})
         AND NOT EXISTS (SELECT FROM nightfill.contract AS now WHERE now.instance = instance.id AND now.key = before.key)
     ) AS missing
     WHERE instance.id = $1`,
    [instance],
  );
  const { staged, ...counts } = rows[0]!;
  return { ...counts, ...(staged !== null && { staged }) };
}

// Absent from the figures of runs of versions that did not mark.
function markedRows({ marking }: RunFigures): Report['marked'] {
  if (!marking) return null;
  const { control: _, ...marked } = marking;
  return marked;
}

/** The latest complete night of the job before the instance's business date. */
const previousInstance = (alias: string): string => `
  SELECT earlier.id FROM nightfill.instance AS earlier
  WHERE earlier.job = ${alias}.job AND earlier.purpose = 'night' AND earlier.status = 'complete'
    AND earlier.business_date < ${alias}.business_date
  ORDER BY earlier.business_date DESC, earlier.generation DESC LIMIT 1`;

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

async function readPrevious(
  database: Queryable,
  { instance, run }: { instance: string; run: Pick<RunRow, 'id'> },
): Promise<Report['previous']> {
  const { rows } = await database.query<{ instance: string; body: string }>(
    `SELECT run.instance, report.body FROM nightfill.run JOIN nightfill.report ON report.run = run.id
     WHERE run.instance = (
       SELECT (${previousInstance('this')}) FROM nightfill.instance AS this WHERE this.id = $1
     ) AND run.id <> $2
     ORDER BY run.started_at DESC LIMIT 1`,
    [instance, run.id],
  );
  const row = rows[0];
  if (!row) return null;
  const body = JSON.parse(row.body) as Report;
  return {
    runId: body.run.id,
    businessDate: body.run.businessDate,
    counts: body.counts,
    amounts: body.amounts.map(({ column, currency, loaded }) => ({ column, currency, amount: loaded })),
    changes: await readChanges(database, { instance, previous: row.instance }),
  };
}
