import type { ClientBase } from 'pg';
import { UsageError } from '../../resilience/failure.ts';
import { copyUpsert, type Row, type SumRequest } from './copy-upsert.ts';
import { DatabaseError, databaseError } from '../postgres/database-error.ts';
import { readBack } from './read-back.ts';
import { createTable, grantLoad, qualifiedName, type TargetTable } from './target-table.ts';
import { upsertStatements } from './upsert-statements.ts';

/**
 * Runs the statements of a load without a row and rolls them back. Gives what Postgres refuses as a sentence (a privilege, a
 * function, a statement trigger), undefined when it refuses nothing. Call it inside a transaction.
 */
export async function tryLoad(
  client: ClientBase,
  { table, exists }: { table: TargetTable; exists: boolean },
): Promise<{ message: string; isRetryable: boolean } | undefined> {
  await client.query('SAVEPOINT nightfill_try');
  const refused = await refusalOf(async () => {
    if (!exists) await createTable(client, table);
    // Not copyUpsert, which would search for the row to blame and, without rows, succeed.
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
 * Loads the row as a run does and rolls it back. Gives the reason why the target refuses it, undefined when it accepts it.
 * Call it inside a transaction.
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
    // Deferred constraints are checked now, because this transaction is never committed.
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

/** Throws a UsageError when Postgres refuses what a load does. Temporary refusals are left to the load, which retries. */
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
