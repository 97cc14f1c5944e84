import type { SumDefinition } from '../ledger/books/known-amounts.ts';
import { readPreviousNight } from '../ledger/books/previous-night.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import { compareWith } from './amounts.ts';
import type { Report } from './schema.ts';

/** What the night is compared with, and how its amounts moved since; null without an earlier night. */
export async function readPrevious(
  database: Queryable,
  o: { instance: string; sums: readonly SumDefinition[] },
): Promise<Report['previous']> {
  const previous = await readPreviousNight(database, o.instance);
  if (!previous) return null;
  const { run, counts, amounts } = JSON.parse(previous.report) as Report;
  return {
    runId: run.id,
    businessDate: run.businessDate,
    status: run.status,
    counts,
    amounts: amounts.map(({ column, currency, loaded }) => ({ column, currency, amount: loaded })),
    ...(await compareWith(database, { ...o, previous: previous.instance })),
  };
}
