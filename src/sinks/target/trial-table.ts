import type { Queryable } from '../postgres/postgres.ts';
import { qualifiedName, type TargetTable } from './target-table.ts';

/**
 * An empty temporary table with the target's types, constraints and indexes, dropped with the transaction: what it takes,
 * the target takes too, but for what depends on other tables, on rows that are there, or on triggers.
 */
export async function createTrial(client: Queryable, target: TargetTable): Promise<TargetTable> {
  const trial = { ...target, schema: 'pg_temp', name: 'nightfill_trial', partitioned: false, guarded: false };
  await client.query(`
    CREATE TEMPORARY TABLE nightfill_trial (LIKE ${qualifiedName(target)} INCLUDING ALL EXCLUDING COMMENTS EXCLUDING STATISTICS) ON COMMIT DROP`);
  return trial;
}
