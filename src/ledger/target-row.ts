import type { HeldRow, RejectedRow } from '../sinks/target/copy-upsert.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';

/**
 * Records the target row of each contract of the night; gives the contracts whose row another contract of the night has
 * claimed before. Call it in the transaction that loads the rows: a concurrent claim of the same row waits for its end.
 */
export async function claimRows(
  client: Queryable,
  o: { instance: string; chunk: number; keyOf: (row: number) => string },
  held: readonly HeldRow[],
): Promise<RejectedRow[]> {
  const keys = held.map(({ row }) => o.keyOf(row));
  const given = [o.instance, keys, held.map(({ key }) => key)];
  const { rowCount } = await client.query(
    `INSERT INTO nightfill.target_row (instance, key, chunk, row_key, row)
     SELECT $1, key, $4, held, ${digest('held')} FROM unnest($2::text[], $3::text[]) AS given (key, held)
     ON CONFLICT (instance, row) DO NOTHING`,
    [...given, o.chunk],
  );
  if (rowCount === held.length) return [];
  const { rows } = await client.query<{ position: number; owner: string; chunk: number }>(
    `SELECT position::integer - 1 AS position, target_row.key AS owner, target_row.chunk
     FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS given (key, held, position)
     JOIN nightfill.target_row ON target_row.instance = $1 AND target_row.row = ${digest('held')}
     WHERE target_row.key <> given.key ORDER BY position`,
    given,
  );
  return rows.map(({ position, owner, chunk }) => ({
    row: held[position]!.row,
    code: 'DUPLICATE_KEY',
    message: `contract ${owner} of chunk ${chunk} has the same load key ${held[position]!.key} and was loaded first, so its row is kept`,
  }));
}

const digest = (text: string): string => `substring(sha256(convert_to(${text}, 'UTF8')) for 16)`;
