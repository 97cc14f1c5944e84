import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { UsageError } from '../resilience/failure.ts';
import { DatabaseError, type Database, type Queryable } from '../sinks/postgres/postgres.ts';

/** The migrations shipped with the package. */
export const migrationsDirectory = new URL('../../sql/', import.meta.url);

interface Migration {
  name: string;
  sql: string;
  sha256: string;
}

async function readMigrations(directory: URL): Promise<Migration[]> {
  const names = (await readdir(directory)).filter((name) => /^\d{4}_.+\.sql$/.test(name)).toSorted();
  return Promise.all(
    names.map(async (name) => {
      // A checkout on Windows may have rewritten the line ends.
      const sql = (await readFile(new URL(name, directory), 'utf8')).replaceAll('\r\n', '\n');
      return { name, sql, sha256: createHash('sha256').update(sql).digest('hex') };
    }),
  );
}

/**
 * Brings the `nightfill` schema up to date, all in one transaction; concurrent callers wait for one another. A rehearsal
 * rolls everything back.
 */
export async function migrate(
  database: Database,
  { directory = migrationsDirectory, rehearse = false }: { directory?: URL; rehearse?: boolean } = {},
): Promise<{ applied: string[] }> {
  const migrations = await readMigrations(directory);
  return explainingDenial(database, async () => {
    if ((await pending(database, migrations)).length === 0) return { applied: [] };
    database.requireWritable();
    return database.withTransaction(async (client) => {
      await client.query(`SET LOCAL lock_timeout = '2min'`);
      await client.query(`SELECT pg_advisory_xact_lock(hashtextextended('nightfill.migrate', 0))`);
      await client.query(`SAVEPOINT rehearsal`);
      await createSchema(client);
      await client.query(`CREATE TABLE IF NOT EXISTS nightfill.migration (
        name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`);
      const applied: string[] = [];
      for (const { name, sql, sha256 } of await pending(client, migrations)) {
        // oxlint-disable-next-line no-await-in-loop -- in order, in one transaction
        await client.query(sql);
        // oxlint-disable-next-line no-await-in-loop -- in order, in one transaction
        await client.query(`INSERT INTO nightfill.migration (name, sha256) VALUES ($1, $2)`, [name, sha256]);
        applied.push(name);
      }
      if (rehearse) await client.query(`ROLLBACK TO SAVEPOINT rehearsal`);
      return { applied };
    });
  });
}

/** IF NOT EXISTS alone requires the CREATE privilege even where an administrator has created the schema. */
async function createSchema(client: Queryable): Promise<void> {
  const { rowCount } = await client.query(`SELECT FROM pg_namespace WHERE nspname = 'nightfill'`);
  if (rowCount === 0) await client.query(`CREATE SCHEMA IF NOT EXISTS nightfill`);
}

/** The names of migrations not applied yet. Throws UsageError when the schema is not one this version knows. */
export async function pendingMigrations(
  database: Database,
  { directory = migrationsDirectory }: { directory?: URL } = {},
): Promise<string[]> {
  const migrations = await readMigrations(directory);
  return explainingDenial(database, async () => (await pending(database, migrations)).map(({ name }) => name));
}

async function explainingDenial<T>(database: Database, task: () => Promise<T>): Promise<T> {
  try {
    return await task();
  } catch (error) {
    if (!(error instanceof DatabaseError && error.sqlState === '42501')) throw error;
    throw new UsageError(
      `the schema nightfill cannot be read, made or upgraded in ${database.description}: ${error.message}; ` +
        'grant this user CREATE on the database, or let its owner run nightfill migrate once and grant this user the schema and its tables',
      { code: 'MIGRATION_DENIED', cause: error },
    );
  }
}

async function pending(client: Queryable, migrations: Migration[]): Promise<Migration[]> {
  const { rows: present } = await client.query<{ present: boolean }>(
    `SELECT to_regclass('nightfill.migration') IS NOT NULL AS present`,
  );
  if (!present[0]!.present) return migrations;
  const { rows } = await client.query<{ name: string; sha256: string }>(
    `SELECT name, sha256 FROM nightfill.migration ORDER BY name`,
  );
  for (const { name, sha256 } of rows) {
    const known = migrations.find((migration) => migration.name === name);
    if (!known)
      throw new UsageError(
        `this database has migration ${name}, which this version of Nightfill does not know; use the newer version that made it`,
        { code: 'SCHEMA_TOO_NEW' },
      );
    if (known.sha256 !== sha256)
      throw new UsageError(
        `migration ${name} differs from the one this database was made with; install the Nightfill version that made it, or restore the file`,
        { code: 'MIGRATION_CHANGED' },
      );
  }
  const done = new Set(rows.map(({ name }) => name));
  return migrations.filter(({ name }) => !done.has(name));
}
