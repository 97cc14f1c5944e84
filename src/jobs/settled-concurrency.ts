import type { Queryable } from '../sinks/postgres.ts';
import type { ApiStatistics } from '../sources/api.ts';

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

/** Of the job's latest run that has figures. */
export async function readSettled(database: Queryable, job: string): Promise<SettledConcurrency[]> {
  const { rows } = await database.query<{ apis: ApiStatistics[] }>(
    `SELECT figures->'apis' AS apis FROM nightfill.run JOIN nightfill.instance ON instance.id = run.instance
     WHERE job = $1 AND figures IS NOT NULL ORDER BY started_at DESC LIMIT 1`,
    [job],
  );
  return settledOf(rows[0]?.apis ?? []);
}
