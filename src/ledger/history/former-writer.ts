import type { Queryable } from '../../sinks/postgres/postgres.ts';
import { isoDate } from '../time-text.ts';

/** Another job's nights, in the table into which a job without nights of its own is about to load. */
export interface FormerWriter {
  job: string;
  /** Of its latest night, YYYY-MM-DD. */
  lastDate: string;
}

/**
 * The job that loaded the target (`schema.table`) last, when the given one has no night yet: it may be the same under its
 * former name. Undefined when it has, for two jobs may share a table. Reads only; the schema must be there.
 */
export async function findFormerWriter(
  database: Queryable,
  { job, target }: { job: string; target: string },
): Promise<FormerWriter | undefined> {
  const { rows } = await database.query<FormerWriter>(
    `SELECT job, ${isoDate('max(business_date)')} AS "lastDate" FROM nightfill.instance
     WHERE target = $2 AND job <> $1 AND purpose = 'night'
       AND NOT EXISTS (SELECT FROM nightfill.instance WHERE job = $1 AND purpose = 'night')
     GROUP BY job ORDER BY max(business_date) DESC, job LIMIT 1`,
    [job, target],
  );
  return rows[0];
}
