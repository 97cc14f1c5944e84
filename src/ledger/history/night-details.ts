import type { Queryable } from '../../sinks/postgres/postgres.ts';
import { rfc3339 } from '../time-text.ts';

/** A chunk as `show` lists it. */
export interface ChunkLine extends Record<string, unknown> {
  number: number;
  status: string;
  reason: string | null;
  /** RFC 3339. */
  retryAfter: string | null;
}

/** A failure as `show` lists it. */
export interface FailureLine extends Record<string, unknown> {
  key: string;
  chunk: number;
}

/** A control of a stored report as `show` lists it; those of versions without severities say nothing of it, and failed. */
export interface ControlLine extends Record<string, unknown> {
  name: string;
  currency?: string | null;
  expected: string;
  actual: string;
  severity?: 'fail' | 'warn';
  result: string;
}

export async function readChunkLines(database: Queryable, instance: string): Promise<ChunkLine[]> {
  const { rows } = await database.query<ChunkLine>(
    `SELECT number, status, contracts, enriched, degraded, failed, inserted, updated, unchanged, attempts,
       duration_ms AS "durationMs", reason, ${rfc3339('retry_after')} AS "retryAfter"
     FROM nightfill.chunk WHERE instance = $1 ORDER BY number`,
    [instance],
  );
  return rows;
}

/** Failures by chunk and key, those after the given one. */
export async function readFailureLines(
  database: Queryable,
  { instance, after, limit }: { instance: string; after?: FailureLine | undefined; limit: number },
): Promise<FailureLine[]> {
  const { rows } = await database.query<FailureLine>(
    `SELECT key, chunk, stage, api, lookup, code, class, http_status AS "httpStatus", message, attempts, advice,
       ${rfc3339('advice_after')} AS "adviceAfter"
     FROM nightfill.failure
     WHERE instance = $1 AND chunk >= $2 AND (chunk, key COLLATE "C") > ($2, $3)
     ORDER BY chunk, key COLLATE "C" LIMIT $4`,
    [instance, after?.chunk ?? 0, after?.key ?? '', limit],
  );
  return rows;
}

/** How many contracts failed by each code, the most frequent first. */
export async function countFailures(database: Queryable, instance: string): Promise<{ code: string; count: number }[]> {
  const { rows } = await database.query<{ code: string; count: number }>(
    `SELECT code, count(*)::integer AS count FROM nightfill.failure WHERE instance = $1
     GROUP BY code ORDER BY 2 DESC, 1`,
    [instance],
  );
  return rows;
}

/** The controls of a run's stored report; none where it has none. */
export async function readControlLines(database: Queryable, run: string): Promise<ControlLine[]> {
  const { rows } = await database.query<{ controls: ControlLine[] | null }>(
    `SELECT body::json -> 'controls' AS controls FROM nightfill.report WHERE run = $1`,
    [run],
  );
  return rows[0]?.controls ?? [];
}
