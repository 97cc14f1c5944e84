import type { Queryable } from '../sinks/postgres/postgres.ts';
import { anyRowLoaded, type Instance } from './instance.ts';
import { isoDate } from './time-text.ts';

/** A later business date of which rows stand in the target. */
export interface NewerNight {
  businessDate: string;
  /** The latest run of it. */
  runId: string;
}

/** The latest business date after this one of which the job has loaded rows, samples included; undefined when there is none. */
export async function findNewerNight(
  database: Queryable,
  o: {
    job: string;
    businessDate: string;
    /** As `schema.table`; any when absent. */
    target?: string;
  },
): Promise<NewerNight | undefined> {
  const { rows } = await database.query<NewerNight>(
    `SELECT ${isoDate('newer.business_date')} AS "businessDate", latest.id AS "runId"
     FROM nightfill.instance AS newer CROSS JOIN LATERAL (
       SELECT id FROM nightfill.run WHERE run.instance = newer.id ORDER BY started_at DESC, id DESC LIMIT 1
     ) AS latest
     WHERE newer.job = $1 AND newer.business_date > $2 AND newer.purpose IN ('night', 'sample')
       AND ($3::text IS NULL OR newer.target = $3)
       AND ${anyRowLoaded('newer.id')}
     ORDER BY newer.business_date DESC, newer.generation DESC LIMIT 1`,
    [o.job, o.businessDate, o.target ?? null],
  );
  return rows[0];
}

/** Whether a run of this instance could load rows; one that died before it could close has none left to load. */
export async function hasRowsToLoad(database: Queryable, { id }: Instance): Promise<boolean> {
  const { rowCount } = await database.query(
    `SELECT FROM nightfill.instance AS this WHERE id = $1 AND (
       status = 'planning'
       OR EXISTS (SELECT FROM nightfill.chunk WHERE instance = this.id AND chunk.status <> 'succeeded')
       OR EXISTS (SELECT FROM nightfill.staged WHERE instance = this.id))`,
    [id],
  );
  return rowCount === 1;
}
