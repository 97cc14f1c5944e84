import { DatabaseError, databaseError } from '../sinks/postgres/database-error.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import type { Json } from '../sources/json/exact-json.ts';
import { isNamelessKey, namelessKey, storedJson } from './listed-record.ts';

/** A record of the listing, about to become a contract of the plan. */
export interface ListedContract {
  key: string;
  /** The fields kept of the record. */
  listed: Json;
  /** Why it cannot be worked on; null when it can. */
  problem: string | null;
  /** Number of the record in the listing, from 1. */
  record: number;
}

interface Row extends Pick<ListedContract, 'key' | 'problem' | 'record'> {
  position: number;
  /** As JSON. */
  listed: string | null;
}

/**
 * Stores the contracts of a chunk, in its transaction, and gives how many were not planned already. A record that Postgres
 * cannot store becomes a contract with a problem, because one record must not end the run.
 */
export async function storeContracts(
  client: Queryable,
  chunk: { instance: string; number: number },
  contracts: readonly ListedContract[],
): Promise<number> {
  return storeOrHalve(
    client,
    chunk,
    contracts.map((contract, index) => rowOf(contract, index + 1)),
  );
}

function rowOf({ listed, ...contract }: ListedContract, position: number): Row {
  if (listed === null) return { ...contract, position, listed };
  const text = storedJson(listed);
  if (text !== undefined) return { ...contract, position, listed: text };
  return withProblem({ ...contract, position, listed: null }, 'it is nested too deeply');
}

async function storeOrHalve(
  client: Queryable,
  chunk: { instance: string; number: number },
  rows: readonly Row[],
): Promise<number> {
  await client.query('SAVEPOINT nightfill_contracts');
  try {
    const stored = await insert(client, chunk, rows);
    await client.query('RELEASE nightfill_contracts');
    return stored;
  } catch (error) {
    const known = databaseError(error);
    // Only errors that a value causes: its form or size (22), or a limit of the server (54).
    if (!(known instanceof DatabaseError) || !/^(22|54)/.test(known.sqlState ?? '')) throw error;
    await client.query('ROLLBACK TO nightfill_contracts; RELEASE nightfill_contracts');
    const [first] = rows;
    if (rows.length > 1) {
      const middle = Math.floor(rows.length / 2);
      const before = await storeOrHalve(client, chunk, rows.slice(0, middle));
      return before + (await storeOrHalve(client, chunk, rows.slice(middle)));
    }
    const less = first && withoutWhatIsRefused(first, known);
    if (!less) throw error;
    return storeOrHalve(client, chunk, [less]);
  }
}

/** The row without its record, or, when it has none, without its key; undefined when both are gone. */
function withoutWhatIsRefused(row: Row, { message }: DatabaseError): Row | undefined {
  if (row.listed !== null) return withProblem({ ...row, listed: null }, message);
  if (isNamelessKey(row.key)) return undefined;
  return withProblem({ ...row, key: namelessKey(row.record) }, message);
}

/** The row with a problem, written in ASCII, which every database encoding has. */
const withProblem = (row: Row, why: string): Row => ({
  ...row,
  problem: `record ${row.record} of the listing cannot be stored: ${why.replaceAll(/[^ -~]/g, '?').slice(0, 300)}`,
});

async function insert(
  client: Queryable,
  { instance, number }: { instance: string; number: number },
  rows: readonly Row[],
): Promise<number> {
  const { rowCount } = await client.query(
    `INSERT INTO nightfill.contract (instance, key, chunk, position, listed, problem)
     SELECT $1, key, $2, position, listed::jsonb, problem
     FROM unnest($3::text[], $4::text[], $5::text[], $6::integer[]) AS given (key, listed, problem, position)
     ORDER BY position
     ON CONFLICT (instance, key) DO NOTHING`,
    [
      instance,
      number,
      rows.map(({ key }) => key),
      rows.map(({ listed }) => listed),
      rows.map(({ problem }) => problem),
      rows.map(({ position }) => position),
    ],
  );
  return rowCount ?? 0;
}
