import { after } from 'node:test';
import type { TestContext } from 'node:test';
import { copyUpsert } from '../../src/sinks/target/copy-upsert.ts';
import type { LoadOptions, LoadResult, Row } from '../../src/sinks/target/copy-upsert.ts';
import { Database } from '../../src/sinks/postgres/postgres.ts';
import { prepareTarget } from '../../src/sinks/target/target-table.ts';
import type { TargetDeclaration, TargetTable } from '../../src/sinks/target/target-table.ts';
import { createDatabase } from './database.ts';

const dropEverything = `
  DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema$' LOOP
      EXECUTE format('DROP SCHEMA %I CASCADE', name);
    END LOOP;
  END $$;
  CREATE SCHEMA public`;

// Opened while the file is loaded: inside a test `after` would mean the end of that test.
const shared = await connect({ after }, (await createDatabase({ after }, { template: 'empty' })).url);

/** An empty database, one for all tests of a file: behind one connection, so that settings of the session last. */
export async function openDatabase(): Promise<Database> {
  await shared.query(dropEverything);
  return shared;
}

export async function connect(t: Pick<TestContext, 'after'> | { after: typeof after }, url: string): Promise<Database> {
  const database = await Database.open({ config: { connectionString: url }, description: 'the test', connections: 1 });
  t.after(async () => database.close());
  return database;
}

/** `id text, amount numeric(18,2)` becomes a declaration of public.target with the key `id`. */
export function declare(
  columns: Record<string, string>,
  { key = ['id'], create = true, name = 'target' } = {},
): TargetDeclaration {
  const list = Object.entries(columns).map(([column, type]) => ({ name: column, type }));
  return { table: { schema: 'public', name }, key, columns: list, create };
}

/** A table of these columns, created by Nightfill unless it exists, and a function that loads rows in a transaction. */
export async function openTarget(
  database: Database,
  columns: Record<string, string>,
  { key = ['id'] } = {},
): Promise<{ table: TargetTable; load: (rows: Row[], options?: Partial<LoadOptions>) => Promise<LoadResult> }> {
  const table = await database.withTransaction(async (client) => prepareTarget(client, declare(columns, { key })));
  const load = async (rows: Row[], options: Partial<LoadOptions> = {}): Promise<LoadResult> =>
    database.withTransaction(async (client) => copyUpsert(client, table, rows, { sums: [], ...options }));
  return { table, load };
}
