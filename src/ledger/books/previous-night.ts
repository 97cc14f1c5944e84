import type { Queryable } from '../../sinks/postgres/postgres.ts';

/**
 * SQL: the night that a night is compared with: the latest one of an earlier business date whose listing was whole and
 * which has a report, whatever its status: one contract that fails every night must not end all comparing. NULL for
 * samples and dry runs, which are compared with nothing.
 */
export const previousNight = (alias: string): string => `
  SELECT earlier.id FROM nightfill.instance AS earlier
  WHERE ${alias}.purpose = 'night' AND earlier.job = ${alias}.job AND earlier.purpose = 'night'
    AND earlier.status <> 'planning' AND earlier.business_date < ${alias}.business_date
    AND EXISTS (SELECT FROM nightfill.report JOIN nightfill.run ON run.id = report.run WHERE run.instance = earlier.id)
  ORDER BY earlier.business_date DESC, earlier.generation DESC LIMIT 1`;

/** The night that an instance is compared with, and its latest report. */
export async function readPreviousNight(
  database: Queryable,
  instance: string,
): Promise<{ instance: string; report: string } | undefined> {
  const { rows } = await database.query<{ instance: string; report: string }>(
    `SELECT run.instance, report.body AS report FROM nightfill.run JOIN nightfill.report ON report.run = run.id
     WHERE run.instance = (SELECT (${previousNight('this')}) FROM nightfill.instance AS this WHERE this.id = $1)
     ORDER BY run.started_at DESC, run.id DESC LIMIT 1`,
    [instance],
  );
  return rows[0];
}
