import type { Queryable } from '../../sinks/postgres/postgres.ts';
import { latestFigures, latestRuns } from './latest-figures.ts';

/** What an API allowed of what the job file says. */
export interface SettledConcurrency {
  api: string;
  settled: number;
  limit: number;
}

/** Of the job's latest run that has figures: the APIs that refused as many requests in flight as the job file allowed. */
export async function readSettledConcurrency(database: Queryable, job: string): Promise<SettledConcurrency[]> {
  const { rows } = await database.query<SettledConcurrency>(
    `SELECT entry->>'name' AS api, (entry->'concurrency'->>'settled')::integer AS settled,
       (entry->'concurrency'->>'limit')::integer AS "limit"
     FROM (${latestFigures(1)}) AS latest, json_array_elements(figures->'apis') AS entry
     WHERE entry->'concurrency'->>'settled' IS NOT NULL`,
    [job],
  );
  return rows;
}

/** By API: the median in milliseconds in the latest run that asked it, of the latest runs. */
export async function readLatencies(database: Queryable, job: string): Promise<Map<string, number>> {
  const { rows } = await database.query<{ api: string; ms: number }>(
    `SELECT DISTINCT ON (api) api, ms FROM (
       SELECT started_at, entry->>'name' AS api, (entry->'latencyMs'->>'p50')::float8 AS ms
       FROM (${latestFigures(latestRuns)}) AS latest, json_array_elements(figures->'apis') AS entry
     ) AS measured WHERE ms > 0 ORDER BY api, started_at DESC`,
    [job],
  );
  return new Map(rows.map(({ api, ms }) => [api, ms]));
}
