import type { Queryable } from '../sinks/postgres/postgres.ts';
import { isoDate } from './time-text.ts';

export type Purpose = 'night' | 'sample' | 'dry-run';

export interface Instance {
  id: string;
  job: string;
  businessDate: string;
  status: 'planning' | 'planned' | 'complete';
  /** As `schema.table`. */
  target: string;
  targetKey: string[];
  configSha256: string;
  /** The source's own count of its records; null before the listing has ended, and when it gave none. */
  sourceTotal: string | null;
}

const instanceColumns = `id, job, ${isoDate('business_date')} AS "businessDate", status, target,
  target_key AS "targetKey", config_sha256 AS "configSha256", source_total::text AS "sourceTotal"`;

/** The job's latest instance for the date, if any. */
export async function findInstance(
  database: Queryable,
  o: { job: string; businessDate: string; purpose: Purpose },
): Promise<Instance | undefined> {
  const { rows } = await database.query<Instance>(
    `SELECT ${instanceColumns} FROM nightfill.instance
     WHERE job = $1 AND business_date = $2 AND purpose = $3 ORDER BY generation DESC LIMIT 1`,
    [o.job, o.businessDate, o.purpose],
  );
  return rows[0];
}

export async function readInstance(database: Queryable, id: string): Promise<Instance> {
  const { rows } = await database.query<Instance>(`SELECT ${instanceColumns} FROM nightfill.instance WHERE id = $1`, [
    id,
  ]);
  return rows[0]!;
}

/**
 * The next generation of the job's instances for the date and purpose; its listing has yet to be stored. Repeating it gives
 * the same instance: the answer to its COMMIT may be lost.
 */
export async function createInstance(
  database: Queryable,
  o: Omit<Instance, 'status' | 'sourceTotal'> & { purpose: Purpose; timezone: string },
): Promise<Instance> {
  const { rows } = await database.query<Instance>(
    `INSERT INTO nightfill.instance (id, job, business_date, generation, purpose, status, timezone, target, target_key, config_sha256, knows_rows)
     SELECT $1, $2, $3, coalesce(max(generation), 0) + 1, $4, 'planning', $5, $6, $7, $8, true
     FROM nightfill.instance WHERE job = $2 AND business_date = $3 AND purpose = $4
     ON CONFLICT (id) DO NOTHING
     RETURNING ${instanceColumns}`,
    [o.id, o.job, o.businessDate, o.purpose, o.timezone, o.target, o.targetKey, o.configSha256],
  );
  return rows[0] ?? readInstance(database, o.id);
}

/**
 * Locks the instance's row to the end of the transaction. A transaction of ours whose answer to COMMIT was lost has the
 * lock as well, so what is read from here on is read after it has ended, committed or rolled back.
 */
export async function lockInstance(client: Queryable, instance: string): Promise<void> {
  await client.query(`SELECT FROM nightfill.instance WHERE id = $1 FOR NO KEY UPDATE`, [instance]);
}

/** Whether `run --again` has planned the same date and purpose anew since. */
export async function isReplaced(database: Queryable, instance: string): Promise<boolean> {
  const { rowCount } = await database.query(
    `SELECT FROM nightfill.instance AS this JOIN nightfill.instance AS later USING (job, business_date, purpose)
     WHERE this.id = $1 AND later.generation > this.generation LIMIT 1`,
    [instance],
  );
  return rowCount === 1;
}

/** SQL: whether chunks of an instance have put rows into the target; rows held back for the switch do not count. */
export const anyRowLoaded = (instance: string): string =>
  `EXISTS (SELECT FROM nightfill.chunk WHERE chunk.instance = ${instance} AND inserted + updated + unchanged > 0)`;

/** Whether chunks of the instance have put rows into the target. */
export async function hasLoadedRows(database: Queryable, instance: string): Promise<boolean> {
  const { rows } = await database.query<{ loaded: boolean }>(`SELECT ${anyRowLoaded('$1')} AS loaded`, [instance]);
  return rows[0]!.loaded;
}

/** Contracts worked on again may fail or be held back: until it is completed again, the instance is unfinished. */
export async function reopenInstance(database: Queryable, instance: string): Promise<void> {
  await database.query(`UPDATE nightfill.instance SET status = 'planned' WHERE id = $1 AND status = 'complete'`, [
    instance,
  ]);
}

/** True when every contract of a closed plan stands in the target; the instance is then complete. */
export async function completeInstance(database: Queryable, instance: string): Promise<boolean> {
  const { rowCount } = await database.query(
    `UPDATE nightfill.instance SET status = 'complete', completed_at = coalesce(completed_at, now())
     WHERE id = $1 AND status <> 'planning'
       AND NOT EXISTS (SELECT FROM nightfill.chunk WHERE instance = $1 AND status <> 'succeeded')
       AND NOT EXISTS (SELECT FROM nightfill.staged WHERE instance = $1)`,
    [instance],
  );
  return rowCount === 1;
}

/**
 * Deletes an instance, its runs and their reports: one that never began, or a dry run's. Its plan and its other rows are
 * left for `sweep`, so that this is quick whatever its size.
 */
export async function discardInstance(database: Queryable, instance: string): Promise<void> {
  await database.query(`DELETE FROM nightfill.instance WHERE id = $1`, [instance]);
}
