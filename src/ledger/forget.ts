import type { Database, Queryable } from '../sinks/postgres/postgres.ts';

/** Rows deleted in one transaction, at most. */
const rowsAtOnce = 10_000;

/**
 * The tables whose rows hang on an instance without a foreign key to it, and the column that their index orders them by
 * within an instance. The largest come first, so that a killed sweep mostly leaves small ones.
 */
export const parts = [
  { table: 'contract', by: 'key', first: '' },
  { table: 'contract_amount', by: 'key', first: '' },
  { table: 'target_row', by: 'key', first: '' },
  { table: 'staged', by: 'key', first: '' },
  { table: 'stale', by: 'key', first: '' },
  { table: 'failure', by: 'key', first: '' },
  { table: 'chunk_amount', by: 'chunk', first: '0' },
  { table: 'chunk_attempt', by: 'chunk', first: '0' },
  { table: 'chunk', by: 'number', first: '0' },
] as const;

/**
 * Deletes an instance's own row with its runs and their reports, so that no command finds it any more. Its other rows are
 * left for `sweep`. An instance that a run is working on stays; another prune may have hidden it already.
 */
export async function hideInstance(database: Database, id: string): Promise<'hidden' | 'at-work' | 'gone'> {
  return database.withTransaction(async (client) => {
    // Locked first, so that the next statement sees a run that was being started on it.
    const locked = await client.query(`SELECT FROM nightfill.instance WHERE id = $1 FOR UPDATE`, [id]);
    if (locked.rowCount === 0) return 'gone';
    const { rowCount } = await client.query(
      `DELETE FROM nightfill.instance WHERE id = $1 AND NOT EXISTS (
         SELECT FROM nightfill.run JOIN nightfill.lease ON lease.run = run.id AND lease.expires_at > now()
         WHERE run.instance = $1)`,
      [id],
    );
    return rowCount === 1 ? 'hidden' : 'at-work';
  });
}

/** Instances whose own row is gone while others are left: a sweep was killed, or someone deleted the row by hand. */
export async function hiddenInstances(database: Queryable): Promise<string[]> {
  // From one instance to the next along the index: as many steps as there are nights, however many rows they have.
  const ofTable = ({ table }: (typeof parts)[number]): string => `(
    WITH RECURSIVE present AS (
      (SELECT instance FROM nightfill.${table} ORDER BY instance LIMIT 1)
      UNION ALL
      SELECT (SELECT instance FROM nightfill.${table} AS next WHERE next.instance > present.instance
              ORDER BY instance LIMIT 1) FROM present WHERE present.instance IS NOT NULL
    ) SELECT instance FROM present)`;
  const { rows } = await database.query<{ instance: string }>(
    `SELECT instance FROM (${parts.map(ofTable).join(' UNION ')}) AS present
     WHERE instance IS NOT NULL AND NOT EXISTS (SELECT FROM nightfill.instance WHERE id = present.instance)
     ORDER BY instance`,
  );
  return rows.map(({ instance }) => instance);
}

/**
 * Deletes what is left of an instance whose own row is gone, a bounded number of rows per transaction; after a kill, call
 * it again to continue. Does nothing while the instance is there. Gives the number of rows.
 */
export async function sweep(
  database: Database,
  instance: string,
  { onRows = () => undefined }: { onRows?: (rows: number) => void } = {},
): Promise<number> {
  const { rowCount } = await database.query(`SELECT FROM nightfill.instance WHERE id = $1`, [instance]);
  if (rowCount !== 0) return 0;
  let all = 0;
  for (const { table, by, first } of parts) {
    let from: string | number = first;
    for (let deleted = rowsAtOnce; deleted === rowsAtOnce;) {
      // oxlint-disable-next-line no-await-in-loop -- one bounded transaction after the other
      const step = await database.withTransaction(async (client) => {
        // Without statistics of this instance Postgres may sort all of its rows for every step.
        await client.query(
          `SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_seqscan = off`,
        );
        const { rows } = await client.query<{ deleted: number; last: string | number | null }>(
          `WITH step AS (
             SELECT ctid, ${by} AS at FROM nightfill.${table} WHERE instance = $1 AND ${by} >= $2
             ORDER BY instance, ${by} LIMIT ${rowsAtOnce}
           ), gone AS (
             DELETE FROM nightfill.${table} WHERE ctid = ANY (ARRAY (SELECT ctid FROM step)) RETURNING 1
           )
           SELECT (SELECT count(*) FROM step)::integer AS deleted, (SELECT at FROM step ORDER BY at DESC LIMIT 1) AS last`,
          [instance, from],
        );
        return rows[0]!;
      });
      deleted = step.deleted;
      from = step.last ?? from;
      all += deleted;
      if (deleted > 0) onRows(deleted);
    }
  }
  return all;
}
