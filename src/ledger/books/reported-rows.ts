import type { Queryable } from '../../sinks/postgres/postgres.ts';
import type { AdviceAction, FailureRecord } from '../failure.ts';
import type { Purpose } from '../instance.ts';
import type { RunMode, StoredRunStatus, Trigger } from '../run.ts';
import { isoDate, rfc3339 } from '../time-text.ts';
import { workOfRun } from '../work-of-run.ts';

/** A run as its report shows it; times are RFC 3339. */
export interface ReportedRun {
  id: string;
  job: string;
  businessDate: string;
  timezone: string;
  purpose: Purpose;
  mode: RunMode;
  trigger: Trigger;
  rerunOf: string | null;
  rootRun: string;
  status: StoredRunStatus;
  exitCode: number;
  reason: string | null;
  startedAt: string;
  finishedAt: string;
  configSha256: string;
  instance: string;
  /** The listing has come to its end. */
  planned: boolean;
  /** As stored; null when the run ended before that. */
  figures: unknown;
}

/** Undefined when there is no such run. */
export async function readReportedRun(database: Queryable, id: string): Promise<ReportedRun | undefined> {
  const { rows } = await database.query<ReportedRun>(
    `SELECT run.id, job, ${isoDate('business_date')} AS "businessDate", timezone, purpose, mode, trigger,
       rerun_of AS "rerunOf", root_run AS "rootRun", run.status, exit_code AS "exitCode", reason,
       ${rfc3339('started_at')} AS "startedAt", ${rfc3339('finished_at')} AS "finishedAt",
       run.config_sha256 AS "configSha256", instance, instance.status <> 'planning' AS planned, figures
     FROM nightfill.run JOIN nightfill.instance ON instance.id = run.instance WHERE run.id = $1`,
    [id],
  );
  return rows[0];
}

/** A chunk as a report shows it. */
export interface ReportedChunk {
  number: number;
  status: 'succeeded' | 'partial' | 'failed' | 'not-started';
  contracts: number;
  failed: number;
  attempts: number;
  inserted: number;
  updated: number;
  unchanged: number;
  durationMs: number;
  digest: string | null;
  reason: string | null;
  /** What most of its failures are advised, or when to start it; null where there is nothing to do. */
  action: AdviceAction | null;
  /** RFC 3339. */
  after: string | null;
}

export async function readReportedChunks(database: Queryable, instance: string): Promise<ReportedChunk[]> {
  const { rows } = await database.query<ReportedChunk>(
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
  return rows;
}

/** A failure as a report shows it. */
export interface ReportedFailure extends Omit<FailureRecord, 'httpStatus' | 'adviceAfter'> {
  key: string;
  chunk: number;
  /** Those that are not NULL. */
  optional: { httpStatus?: number; amount?: string; currency?: string };
  /** RFC 3339. */
  after: string | null;
  /** Of the instance, however many of them are read. */
  total: number;
}

/** The first failures by chunk and key, with what is known of their contracts' amounts in one column. */
export async function readReportedFailures(
  database: Queryable,
  { instance, column, limit }: { instance: string; column: string | null; limit: number },
): Promise<ReportedFailure[]> {
  const { rows } = await database.query<ReportedFailure>(
    `SELECT failure.key, failure.chunk, stage, api, lookup, code, class, message, attempts, advice,
       json_strip_nulls(json_build_object('httpStatus', http_status, 'amount', amount::text, 'currency', currency)) AS optional,
       ${rfc3339('advice_after')} AS after, count(*) OVER ()::integer AS total
     FROM nightfill.failure
     LEFT JOIN nightfill.contract_amount AS known
       ON known.instance = failure.instance AND known.key = failure.key AND known.column_name = $2
     WHERE failure.instance = $1 ORDER BY failure.chunk, failure.key COLLATE "C" LIMIT $3`,
    [instance, column, limit],
  );
  return rows;
}

/** A run of an instance, as the instance's reports list it; times are RFC 3339. */
export interface RunOfInstance {
  runId: string;
  mode: RunMode;
  status: StoredRunStatus;
  exitCode: number | null;
  startedAt: string;
  finishedAt: string | null;
  contracts: number;
  loaded: number;
}

/** The oldest first. */
export async function readRunsOfInstance(database: Queryable, instance: string): Promise<RunOfInstance[]> {
  const { rows } = await database.query<RunOfInstance>(
    `SELECT run.id AS "runId", mode, status, exit_code AS "exitCode", ${rfc3339('started_at')} AS "startedAt",
       ${rfc3339('run.finished_at')} AS "finishedAt", work.contracts, work.loaded
     FROM nightfill.run CROSS JOIN LATERAL (${workOfRun}) AS work
     WHERE run.instance = $1 ORDER BY started_at, run.id`,
    [instance],
  );
  return rows;
}
