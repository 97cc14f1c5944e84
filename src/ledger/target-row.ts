import type { StoredRow, RejectedRow } from '../sinks/target/copy-upsert.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';

/**
 * Records the target row of each contract of the night; gives the contracts whose row another contract of the night has
 * claimed before. Call it in the transaction that loads the rows: a concurrent claim of the same row waits for its end.
 */
export async function claimRows(
  client: Queryable,
  o: { instance: string; chunk: number; keyOf: (row: number) => string },
  stored: readonly StoredRow[],
): Promise<RejectedRow[]> {
  const keys = stored.map(({ row }) => o.keyOf(row));
  const given = [o.instance, keys, stored.map(({ key }) => key)];
  const { rowCount } = await client.query(
    `INSERT INTO nightfill.target_row (instance, key, chunk, row_key, row)
     SELECT $1, key, $4, stored, ${digest('stored')} FROM unnest($2::text[], $3::text[]) AS given (key, stored)
     ON CONFLICT (instance, row) DO NOTHING`,
    [...given, o.chunk],
  );
  if (rowCount === stored.length) return [];
  const { rows } = await client.query<{ position: number; owner: string; chunk: number }>(
    `SELECT position::integer - 1 AS position, target_row.key AS owner, target_row.chunk
     FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS given (key, stored, position)
     JOIN nightfill.target_row ON target_row.instance = $1 AND target_row.row = ${digest('stored')}
     WHERE target_row.key <> given.key ORDER BY position`,
    given,
  );
  return rows.map(({ position, owner, chunk }) => ({
    row: stored[position]!.row,
    code: 'DUPLICATE_KEY',
    message: `contract ${owner} of chunk ${chunk} has the same load key ${stored[position]!.key} and was loaded first, so its row is kept`,
  }));
}

const digest = (text: string): string => `substring(sha256(convert_to(${text}, 'UTF8')) for 16)`;
