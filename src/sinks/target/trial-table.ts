import type { Queryable } from '../postgres/postgres.ts';
import { qualifiedName, type TargetTable } from './target-table.ts';

/**
 * An empty temporary table with the target's types, constraints and indexes, dropped with the transaction: the target accepts the same
 * rows, except for what depends on other tables, existing rows or triggers.
 */
export async function createTrial(client: Queryable, target: TargetTable): Promise<TargetTable> {
  const trial = { ...target, schema: 'pg_temp', name: 'nightfill_trial', partitioned: false, guarded: false };
  await client.query(`
    CREATE TEMPORARY TABLE nightfill_trial (LIKE ${qualifiedName(target)} INCLUDING ALL EXCLUDING COMMENTS EXCLUDING STATISTICS) ON COMMIT DROP`);
  return trial;
}
