import pg from 'pg';
import { DatabaseError, databaseError } from '../sinks/postgres/database-error.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import { qualifiedName, type TargetTable } from '../sinks/target/target-table.ts';
import { isRememberedRow } from './loaded-row.ts';
import { findNewerNight } from './newer-night.ts';

interface Night {
  /** The job's name. */
  job: string;
  instance: string;
  businessDate: string;
  target: TargetTable;
  /** The target's name in the ledger. */
  targetName: string;
  /** Summed columns, and the columns that their sums are split by. */
  sums: readonly { column: string; by?: string }[];
}

/** Which of the rows that the night has loaded are still in the target, and their sums. */
export interface Standing {
  /** Rows that contracts of the night were loaded into, and how many of them exist. */
  loaded: number;
  rows: number;
  amounts: { column: string; currency: string | null; amount: string }[];
}

/**
 * Reads what the target holds of the night when its run is closed, because loaded rows may have been changed or deleted
 * since, by others or by a trigger when a later chunk was loaded. Null for nights begun before the ledger knew their rows,
 * and when a newer night was loaded over it; undefined when a run that is told to stop finds the target locked.
 */
export async function readStanding(
  client: Queryable,
  night: Night,
  { hurried }: { hurried: boolean },
): Promise<Standing | null | undefined> {
  if (!hurried) return lookAt(client, night);
  await client.query(`SAVEPOINT nightfill_standing; SET LOCAL lock_timeout = '100ms'`);
  try {
    const found = await lookAt(client, night);
    await client.query(`RELEASE nightfill_standing; SET LOCAL lock_timeout = '5s'`);
    return found;
  } catch (error) {
    const known = databaseError(error);
    if (!(known instanceof DatabaseError) || known.sqlState !== '55P03') throw error;
    await client.query('ROLLBACK TO nightfill_standing; RELEASE nightfill_standing');
    return undefined;
  }
}

async function lookAt(client: Queryable, night: Night): Promise<Standing | null> {
  const { job, instance, target, businessDate, targetName, sums } = night;
  if (await findNewerNight(client, { job, businessDate, target: targetName })) return null;
  const { rows: known } = await client.query<{ knows: boolean }>(
    `SELECT knows_rows AS knows FROM nightfill.instance WHERE id = $1`,
    [instance],
  );
  if (!known[0]?.knows) return null;
  const columns = sums.map(({ column, by }, index) => {
    const group = target.columns.find(({ name }) => name === by);
    return {
      amount: `t.${pg.escapeIdentifier(column)}::numeric AS amount${index}`,
      by: `${group ? `t.${pg.escapeIdentifier(group.name)}::${group.formatted}::text COLLATE "C"` : 'NULL::text'} AS by${index}`,
    };
  });
  const perSum = sums.map(
    ({ column }, index) => `
      SELECT ${index} AS position, ${pg.escapeLiteral(column)} AS "column", by${index} AS currency, sum(amount${index}) AS amount
      FROM standing WHERE found GROUP BY by${index}`,
  );
  // One lookup in the index per row, however large the table is.
  const { rows } = await client.query<Standing>(
    `WITH standing AS MATERIALIZED (
       SELECT found${sums.map((_, index) => `, amount${index}, by${index}`).join('')}
       FROM nightfill.target_row AS known LEFT JOIN LATERAL (
         SELECT true AS found${columns.map(({ amount, by }) => `, ${amount}, ${by}`).join('')}
         FROM ${qualifiedName(target)} AS t WHERE ${isRememberedRow(target, 't', 'known.row_key::jsonb')} LIMIT 1
       ) AS t ON true
       WHERE known.instance = $1
     )
     SELECT count(*)::integer AS loaded, count(found)::integer AS rows, ${
       perSum.length === 0
         ? `'[]'::json`
         : `(SELECT coalesce(json_agg(json_build_object('column', "column", 'currency', currency, 'amount', coalesce(amount, 0)::text)
              ORDER BY position, currency), '[]') FROM (${perSum.join(' UNION ALL ')}) AS per_sum)`
     } AS amounts
     FROM standing`,
    [instance],
  );
  return rows[0]!;
}
