import type { Queryable } from '../../sinks/postgres/postgres.ts';
import { anyRowLoaded } from '../instance.ts';
import { isoDate } from '../time-text.ts';

export interface OldInstance {
  id: string;
  job: string;
  businessDate: string;
  runs: number;
  /** A run or a comparison may still need it. */
  needed: boolean;
}

/** The instances of business dates older than `keepMs` milliseconds, the oldest first. */
export async function readOldInstances(
  database: Queryable,
  { keepMs, job }: { keepMs: number; job: string | undefined },
): Promise<OldInstance[]> {
  // Needed however old: one with a run at work; of each job the latest night, which may be unfinished, and the latest
  // planned and the latest complete one, which the next is compared with and whose contracts it looks for; and of each of
  // its targets the latest night or sample that loaded rows, over which no older date may load.
  const latest = (where: string): string => `(SELECT DISTINCT ON (job) id FROM nightfill.instance
     WHERE purpose = 'night' ${where} ORDER BY job, business_date DESC, generation DESC)`;
  const { rows } = await database.query<OldInstance>(
    `WITH needed AS (
       ${latest('')} UNION ${latest(`AND status <> 'planning'`)} UNION ${latest(`AND status = 'complete'`)} UNION
       (SELECT DISTINCT ON (job, target) id FROM nightfill.instance
        WHERE purpose IN ('night', 'sample') AND ${anyRowLoaded('instance.id')}
        ORDER BY job, target, business_date DESC, generation DESC) UNION
       SELECT run.instance FROM nightfill.run JOIN nightfill.lease ON lease.run = run.id AND lease.expires_at > now()
     )
     SELECT id, job, ${isoDate('business_date')} AS "businessDate", id IN (SELECT id FROM needed) AS needed,
       (SELECT count(*) FROM nightfill.run WHERE run.instance = instance.id)::integer AS runs
     FROM nightfill.instance
     WHERE business_date < current_date - make_interval(secs => $1) AND ($2::text IS NULL OR job = $2)
     ORDER BY business_date, job, id`,
    [keepMs / 1_000, job ?? null],
  );
  return rows;
}
