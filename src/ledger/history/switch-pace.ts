import { workOfRun } from '../work-of-run.ts';
import { latestFigures, latestRuns } from './latest-figures.ts';
import type { Queryable } from '../../sinks/postgres/postgres.ts';

/** How long it takes to load a row into the target, as last measured. */
export interface SwitchPace {
  msPerRow: number;
  /** A night that switched is the better measurement; one that loaded chunk by chunk is the next best. */
  from: 'last switch' | 'last load';
}

/** The pace of the job's latest night that switched, else of the latest that loaded; undefined before the first. */
export async function readSwitchPace(database: Queryable, job: string): Promise<SwitchPace | undefined> {
  const { rows } = await database.query<SwitchPace>(
    `WITH latest AS (${latestFigures(latestRuns)}
     ), switched AS (
       SELECT (entry->>'totalMs')::float8 / nullif(rows, 0) AS ms, started_at, 'last switch' AS source
       FROM latest, json_array_elements(figures->'tasks') AS entry, LATERAL (
         SELECT sum(inserted + updated + unchanged) AS rows FROM nightfill.chunk WHERE chunk.instance = latest.instance
       ) AS loaded
       WHERE entry->>'kind' = 'switch' AND (entry->>'succeeded')::integer > 0
     ), loaded AS (
       SELECT (figures->'phases'->>'loadMs')::float8 / nullif(work.loaded, 0) AS ms, started_at, 'last load' AS source
       FROM latest AS run, LATERAL (${workOfRun}) AS work
     )
     SELECT ms AS "msPerRow", source AS from FROM (SELECT * FROM switched UNION ALL SELECT * FROM loaded) AS measured
     WHERE ms > 0 ORDER BY source = 'last switch' DESC, started_at DESC LIMIT 1`,
    [job],
  );
  return rows[0];
}
