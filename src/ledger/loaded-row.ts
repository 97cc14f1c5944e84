import pg from 'pg';
import type { Row } from '../sinks/target/copy-upsert.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import { qualifiedName, type TargetTable } from '../sinks/target/target-table.ts';

const keyColumns = ({ key, columns }: TargetTable) =>
  key.map((name) => {
    const index = columns.findIndex((column) => column.name === name);
    return { index, name: pg.escapeIdentifier(name), type: columns[index]!.castType };
  });

/** The target as its rows are remembered by: with another key, or a key of other types, they are other rows. */
export const rememberedTarget = (table: TargetTable): string =>
  `${qualifiedName(table)} (${keyColumns(table)
    .map(({ name, type }) => `${name} ${type}`)
    .join(', ')})`;

/** SQL: whether a row of the target, `t`, is the one that a remembered `row_key` names. */
export const isRememberedRow = (table: TargetTable, t: string, rowKey: string): string =>
  keyColumns(table)
    .map(({ name, type }, position) => `${t}.${name} = (${rowKey} ->> ${position})::${type}`)
    .join(' AND ');

/** Remembers, in the transaction that loads them, which row each contract was loaded into. */
export async function rememberRows(
  client: Queryable,
  o: { job: string; instance: string; target: TargetTable; loaded: readonly { contract: { key: string }; row: Row }[] },
): Promise<void> {
  const key = keyColumns(o.target);
  await client.query(
    `INSERT INTO nightfill.loaded_row AS known (job, target, first_instance, contract, row_key)
     SELECT $1, $2, $3, contract, row_key FROM unnest($4::text[], $5::jsonb[]) AS given (contract, row_key)
     ON CONFLICT (job, contract) DO UPDATE SET target = excluded.target, row_key = excluded.row_key
       WHERE (known.target, known.row_key) IS DISTINCT FROM (excluded.target, excluded.row_key)`,
    [
      o.job,
      rememberedTarget(o.target),
      o.instance,
      o.loaded.map(({ contract }) => contract.key),
      o.loaded.map(({ row }) => JSON.stringify(key.map(({ index }) => row[index]))),
    ],
  );
}
