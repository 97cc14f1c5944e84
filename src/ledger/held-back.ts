import { createHash } from 'node:crypto';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import type { TargetTable } from '../sinks/target/target-table.ts';
import { STAGING } from '../sinks/target/upsert-statements.ts';

/*
 * `commit: run`: rows are held back in the ledger (table nightfill.staged) until the whole night switches into the target
 * at once.
 */

/** Holds the rows of an attempt back. Call it while the load's temporary table still has them. */
export async function holdBack(
  client: Queryable,
  {
    number,
    attempt,
    loaded,
  }: { number: number; attempt: number; loaded: readonly { contract: { key: string }; ordinal: number }[] },
  { instance, target }: { instance: string; target: Pick<TargetTable, 'columns'> },
): Promise<void> {
  if (loaded.length === 0) return;
  const cells = target.columns.map((_, index) => `row.c${index}`).join(', ');
  await client.query(
    `INSERT INTO nightfill.staged (instance, chunk, attempt, layout, key, position, cells)
     SELECT $1, $2, $3, $4, given.key, given.ordinal, ARRAY[${cells}]
     FROM unnest($5::text[], $6::integer[]) AS given (key, ordinal) JOIN ${STAGING} AS row USING (ordinal)`,
    [
      instance,
      number,
      attempt,
      layoutOf(target.columns),
      loaded.map(({ contract }) => contract.key),
      loaded.map(({ ordinal }) => ordinal),
    ],
  );
}

const layoutOf = (columns: readonly { name: string }[]): string =>
  createHash('sha256')
    .update(JSON.stringify(columns.map(({ name }) => name)))
    .digest('hex')
    .slice(0, 16);

/** Whether rows are held back whose columns differ from these, because the job file has changed since. */
export async function isHeldBackOtherwise(
  database: Queryable,
  o: { instance: string; columns: readonly { name: string }[] },
): Promise<boolean> {
  const { rowCount } = await database.query(
    `SELECT FROM nightfill.staged WHERE instance = $1 AND layout <> $2 LIMIT 1`,
    [o.instance, layoutOf(o.columns)],
  );
  return rowCount !== 0;
}

export async function isHoldingBack(database: Queryable, instance: string): Promise<boolean> {
  const { rowCount } = await database.query(`SELECT FROM nightfill.staged WHERE instance = $1 LIMIT 1`, [instance]);
  return rowCount === 1;
}

/**
 * Deletes the rows that earlier plans of the same date hold back, once this plan's listing is stored whole. Until then this
 * plan may still be refused and deleted, and the earlier one is the latest again.
 */
export async function dropReplacedRows(client: Queryable, instance: string): Promise<void> {
  await client.query(
    `DELETE FROM nightfill.staged USING nightfill.instance AS this, nightfill.instance AS earlier
     WHERE this.id = $1 AND this.status <> 'planning' AND staged.instance = earlier.id
       AND earlier.job = this.job AND earlier.business_date = this.business_date AND earlier.purpose = this.purpose
       AND earlier.generation < this.generation`,
    [instance],
  );
}

/** Number of rows that an instance holds back for its switch. */
export async function countHeldBack(database: Queryable, instance: string): Promise<number> {
  const { rows } = await database.query<{ rows: number }>(
    `SELECT count(*)::integer AS rows FROM nightfill.staged WHERE instance = $1`,
    [instance],
  );
  return rows[0]!.rows;
}
