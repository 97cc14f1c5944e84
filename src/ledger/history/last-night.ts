import type { Queryable } from '../../sinks/postgres/postgres.ts';
import { isoDate } from '../time-text.ts';
import { workOfRun } from '../work-of-run.ts';

/** A job's latest run of a night that has ended. */
export interface LastNight {
  id: string;
  businessDate: string;
  status: string;
  contracts: number;
  failed: number;
}

export async function readLastNight(database: Queryable, job: string): Promise<LastNight | undefined> {
  const { rows } = await database.query<LastNight>(
    `SELECT run.id, ${isoDate('business_date')} AS "businessDate", run.status, work.contracts,
       work.contracts - work.loaded AS failed
     FROM (
       SELECT run.id, business_date, run.status FROM nightfill.run JOIN nightfill.instance ON instance.id = run.instance
       WHERE job = $1 AND purpose = 'night' AND run.status <> 'running' ORDER BY started_at DESC, run.id DESC LIMIT 1
     ) AS run CROSS JOIN LATERAL (${workOfRun}) AS work`,
    [job],
  );
  return rows[0];
}
