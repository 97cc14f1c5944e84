import { readSettledConcurrency, type SettledConcurrency } from '../ledger/history/api-figures.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import type { Job } from './job.ts';

/** The advice as one line of text. */
export const settledLine = ({ api, settled, limit }: SettledConcurrency): string =>
  `${api} refused more than ${settled} requests in flight, and the job file allows ${limit}; set limits.concurrency to ${settled}`;

/** The APIs whose concurrency settled below the job file's limit, because they refused more requests in flight. */
export const settledOf = (
  apis: readonly { name: string; concurrency: { limit: number; settled?: number | undefined } }[],
): SettledConcurrency[] =>
  apis.flatMap(({ name: api, concurrency: { settled, limit } }) =>
    settled === undefined ? [] : [{ api, settled, limit }],
  );

/** The settled concurrencies of the job's latest run that has figures, where the job file still allows more. */
export async function readSettled(
  database: Queryable,
  { name, apis }: Pick<Job, 'name' | 'apis'>,
): Promise<SettledConcurrency[]> {
  const rows = await readSettledConcurrency(database, name);
  return rows.filter(({ api, settled }) => (apis[api]?.limits.concurrency ?? 0) > settled);
}
