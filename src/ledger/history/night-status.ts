import type { Queryable } from '../../sinks/postgres/postgres.ts';

/**
 * The status of the latest plan of a date's night, null when the date has none; undefined of a job that has no night of any
 * date.
 */
export async function readNightStatus(
  database: Queryable,
  { job, businessDate }: { job: string; businessDate: string },
): Promise<{ status: string | null } | undefined> {
  const { rows } = await database.query<{ status: string | null }>(
    `SELECT max(status) FILTER (WHERE business_date = $2) AS status FROM (
       SELECT DISTINCT ON (business_date) business_date, status FROM nightfill.instance
       WHERE job = $1 AND purpose = 'night' ORDER BY business_date, generation DESC
     ) AS night HAVING count(*) > 0`,
    [job, businessDate],
  );
  return rows[0];
}
