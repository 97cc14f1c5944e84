import { readSettledConcurrency, type SettledConcurrency } from '../ledger/history/api-figures.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import type { Job } from './job.ts';

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
  const rows = await readSettledConcurrency(database, name);
  return rows.filter(({ api, settled }) => (apis[api]?.limits.concurrency ?? 0) > settled);
}
