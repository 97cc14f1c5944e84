import type { Queryable } from '../sinks/postgres/postgres.ts';
import { readChanges } from './amounts.ts';
import type { SumDefinition } from './figures.ts';
import type { Report } from './schema.ts';

/**
 * SQL: the night that a night is compared with: the latest one of an earlier business date whose listing was whole and
 * which has been closed, whatever its status: one contract that fails every night must not end all comparing. NULL for
 * samples and rehearsals, which compare with nothing.
 */
export const previousNight = (alias: string): string => `
  SELECT earlier.id FROM nightfill.instance AS earlier
  WHERE ${alias}.purpose = 'night' AND earlier.job = ${alias}.job AND earlier.purpose = 'night'
    AND earlier.status <> 'planning' AND earlier.business_date < ${alias}.business_date
    AND EXISTS (SELECT FROM nightfill.report JOIN nightfill.run ON run.id = report.run WHERE run.instance = earlier.id)
  ORDER BY earlier.business_date DESC, earlier.generation DESC LIMIT 1`;

/** What the night is compared with, and how its amounts moved since; null without an earlier night. */
export async function readPrevious(
  database: Queryable,
  o: { instance: string; sums: readonly SumDefinition[] },
): Promise<Report['previous']> {
  const { rows } = await database.query<{ instance: string; body: string }>(
    `SELECT run.instance, report.body FROM nightfill.run JOIN nightfill.report ON report.run = run.id
     WHERE run.instance = (SELECT (${previousNight('this')}) FROM nightfill.instance AS this WHERE this.id = $1)
     ORDER BY run.started_at DESC, run.id DESC LIMIT 1`,
    [o.instance],
  );
  const row = rows[0];
  if (!row) return null;
  const { run, counts, amounts } = JSON.parse(row.body) as Report;
  return {
    runId: run.id,
    businessDate: run.businessDate,
    status: run.status,
    counts,
    amounts: amounts.map(({ column, currency, loaded }) => ({ column, currency, amount: loaded })),
    ...(await readChanges(database, { ...o, previous: row.instance })),
  };
}
