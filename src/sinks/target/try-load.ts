import type { ClientBase } from 'pg';
import { UsageError } from '../../resilience/failure.ts';
import { copyUpsert, type Row, type SumRequest } from './copy-upsert.ts';
import { DatabaseError, databaseError } from '../postgres/database-error.ts';
import { readBack } from './read-back.ts';
import { createTable, grantLoad, qualifiedName, type TargetTable } from './target-table.ts';
import { upsertStatements } from './upsert-statements.ts';

/**
 * Does to the target what a load does, with no row, and takes it back: gives the sentence about what Postgres refuses
 * (a privilege, a function, a trigger of the statement), undefined when it refuses nothing. Call it inside a transaction.
 */
export async function tryLoad(
  client: ClientBase,
  { table, exists }: { table: TargetTable; exists: boolean },
): Promise<{ message: string; isRetryable: boolean } | undefined> {
  await client.query('SAVEPOINT nightfill_try');
  const refused = await refusalOf(async () => {
    if (!exists) await createTable(client, table);
    // Not copyUpsert: looking for the row at fault, of which there is none, it would find nothing wrong.
    const statements = upsertStatements(table);
    await client.query(`${statements.stage}; ${statements.dropDuplicates}; ${statements.upsert()}`);
    await readBack(client, table, []);
  });
  await client.query('ROLLBACK TO SAVEPOINT nightfill_try; RELEASE SAVEPOINT nightfill_try');
  if (refused === undefined) return undefined;
  const remedy = refused.sqlState === '42501' ? await missingGrant(client, table) : undefined;
  const message = `a load, tried without a row, is refused: ${refused.message}${remedy ? `; ${remedy}` : ''}`;
  return { message, isRetryable: refused.isRetryable };
}

/**
 * Loads this row as a run does, and takes it back: gives why the target does not take it, undefined when it does. Call it
 * inside a transaction.
 */
export async function tryRow(
  client: ClientBase,
  { table, exists }: { table: TargetTable; exists: boolean },
  { row, sums }: { row: Row; sums: readonly SumRequest[] },
): Promise<string | undefined> {
  let rejected: string | undefined;
  await client.query('SAVEPOINT nightfill_try');
  const refused = await refusalOf(async () => {
    if (!exists) await createTable(client, table);
    const result = await copyUpsert(client, table, [row], { sums });
    rejected = result.rejected[0]?.message;
    // What is deferred to the end of a transaction is asked now, since this one's end never comes.
    await client.query('SET CONSTRAINTS ALL IMMEDIATE');
  });
  await client.query('ROLLBACK TO SAVEPOINT nightfill_try; RELEASE SAVEPOINT nightfill_try');
  return rejected ?? refused?.message;
}

async function refusalOf(task: () => Promise<void>): Promise<DatabaseError | undefined> {
  try {
    await task();
    return undefined;
  } catch (error) {
    const known = databaseError(error);
    if (known instanceof DatabaseError && known.sqlState !== undefined) return known;
    throw error;
  }
}

/** Throws a UsageError when Postgres refuses what a load does. What may pass by itself is left to the load, which tries again. */
export async function requireLoadable(client: ClientBase, table: TargetTable): Promise<void> {
  const refused = await tryLoad(client, { table, exists: true });
  if (!refused || refused.isRetryable) return;
  throw new UsageError(`${table.schema}.${table.name} cannot be loaded: ${refused.message}`, { code: 'TARGET_TABLE' });
}

async function missingGrant(client: ClientBase, table: TargetTable): Promise<string | undefined> {
  const { rows } = await client.query<{ role: string; granted: boolean | null }>(
    `SELECT quote_ident(current_user) AS role,
       has_table_privilege(relation, 'SELECT') AND has_table_privilege(relation, 'INSERT')
         AND has_table_privilege(relation, 'UPDATE') AS granted
     FROM to_regclass($1) AS relation`,
    [qualifiedName(table)],
  );
  const [found] = rows;
  return found?.granted === false
    ? `${grantLoad(table, found.role)} (on the table: the same on each column is not enough)`
    : undefined;
}
