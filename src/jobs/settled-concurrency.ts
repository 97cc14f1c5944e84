import type { Queryable } from '../sinks/postgres/postgres.ts';
import type { Job } from './job.ts';

/** What an API allowed of what the job file says. */
export interface SettledConcurrency {
  api: string;
  settled: number;
  limit: number;
}

/** One line for people. */
export const settledLine = ({ api, settled, limit }: SettledConcurrency): string =>
  `${api} refused more than ${settled} of ${limit} in flight; set limits.concurrency to ${settled}`;

/** Of those APIs that refused as many in flight as the job file allows. */
export const settledOf = (
  apis: readonly { name: string; concurrency: { limit: number; settled?: number | undefined } }[],
): SettledConcurrency[] =>
  apis.flatMap(({ name: api, concurrency: { settled, limit } }) =>
    settled === undefined ? [] : [{ api, settled, limit }],
  );

/** Of the job's latest run that has figures; those APIs of which its file still allows more. */
export async function readSettled(
  database: Queryable,
  { name, apis }: Pick<Job, 'name' | 'apis'>,
): Promise<SettledConcurrency[]> {
  const { rows } = await database.query<SettledConcurrency>(
    `SELECT entry->>'name' AS api, (entry->'concurrency'->>'settled')::integer AS settled,
       (entry->'concurrency'->>'limit')::integer AS "limit"
     FROM (
       SELECT figures FROM nightfill.run JOIN nightfill.instance ON instance.id = run.instance
       WHERE job = $1 AND figures IS NOT NULL ORDER BY started_at DESC LIMIT 1
     ) AS latest, json_array_elements(figures->'apis') AS entry
     WHERE entry->'concurrency'->>'settled' IS NOT NULL`,
    [name],
  );
  return rows.filter(({ api, settled }) => (apis[api]?.limits.concurrency ?? 0) > settled);
}
