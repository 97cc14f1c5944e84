import { test, type TestContext } from 'node:test';
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { migrate, pendingMigrations } from '../../src/ledger/migrations.ts';
import { Database } from '../../src/sinks/postgres/postgres.ts';
import { clusterUrl, createDatabase, execute } from '../support/database.ts';

/** A folder of migrations, gone after the test. */
async function migrationsOf(t: TestContext, files: Record<string, string>): Promise<URL> {
  const folder = await mkdtemp(path.join(tmpdir(), 'nightfill-migrations-'));
  t.after(async () => rm(folder, { recursive: true }));
  const directory = pathToFileURL(`${folder}/`);
  await write(directory, files);
  return directory;
}

async function write(directory: URL, files: Record<string, string>): Promise<void> {
  for (const [name, sql] of Object.entries(files)) await writeFile(new URL(name, directory), sql);
}

const two = { '0001_a.sql': 'CREATE TABLE nightfill.a (id int)', '0002_b.sql': 'CREATE TABLE nightfill.b (id int)' };

const tables = async (database: Database): Promise<unknown[]> =>
  (
    await database.query<{
      name: string;
    }>(`SELECT relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname = 'nightfill' AND relkind = 'r' ORDER BY 1`)
  ).rows.map(({ name }) => name);

/** A user without any privilege in the database at `url`, gone after the test. */
async function connectAsStranger(
  t: TestContext,
  o: { url: string; database: Database },
): Promise<{ stranger: Database; role: string }> {
  const role = `stranger_${randomUUID().replaceAll('-', '')}`;
  await o.database.query(`CREATE ROLE ${role} LOGIN PASSWORD 'geheim'`);
  const url = new URL(o.url);
  url.username = role;
  url.password = 'geheim';
  const stranger = await Database.open({ config: { connectionString: url.href }, description: 'the night database' });
  // Runs after the database is gone, and with it all that the role was granted.
  t.after(async () => {
    await stranger.close();
    await execute(await clusterUrl(), `DROP ROLE ${role}`);
  });
  return { stranger, role };
}

void test('migrations are applied in order and once', async (t) => {
  const { database } = await createDatabase(t, { template: 'empty' });
  const directory = await migrationsOf(t, { ...two, 'notes.txt': 'no migration' });
  assert.deepEqual(await pendingMigrations(database, { directory }), ['0001_a.sql', '0002_b.sql']);
  assert.deepEqual(await migrate(database, { directory }), { applied: ['0001_a.sql', '0002_b.sql'] });
  assert.deepEqual(await tables(database), ['a', 'b', 'migration']);
  assert.deepEqual(await migrate(database, { directory }), { applied: [] });
  await write(directory, { '0003_c.sql': 'CREATE TABLE nightfill.c (id int)' });
  assert.deepEqual(await pendingMigrations(database, { directory }), ['0003_c.sql']);
  assert.deepEqual(await migrate(database, { directory }), { applied: ['0003_c.sql'] });
});

void test('the migrations that ship are applied, and known ever after', async (t) => {
  const { database } = await createDatabase(t, { template: 'empty' });
  assert.equal((await migrate(database)).applied[0], '0001_ledger.sql');
  assert.deepEqual(await pendingMigrations(database), []);
});

void test('of many who migrate at the same time one does it, and the others find it done', async (t) => {
  const { url, database } = await createDatabase(t, { template: 'empty' });
  const others = await Promise.all(
    [1, 2, 3].map(async () => Database.open({ config: { connectionString: url }, description: 'another process' })),
  );
  const results = await Promise.all([database, database, ...others].map(async (each) => migrate(each)));
  await Promise.all(others.map(async (other) => other.close()));
  assert.equal(results.filter(({ applied }) => applied.length > 0).length, 1);
});

void test('a migration that fails takes all of them back', async (t) => {
  const { database } = await createDatabase(t, { template: 'empty' });
  const directory = await migrationsOf(t, { ...two, '0003_bad.sql': 'CREATE TABLE nightfill.a (again int)' });
  await assert.rejects(migrate(database, { directory }), { code: 'PG_42P07' });
  assert.deepEqual(await tables(database), []);
});

void test('a rehearsal says what it would apply, and leaves nothing behind', async (t) => {
  const { database } = await createDatabase(t, { template: 'empty' });
  const directory = await migrationsOf(t, two);
  assert.deepEqual(await migrate(database, { directory, rehearse: true }), { applied: Object.keys(two) });
  assert.deepEqual(await tables(database), []);
});

void test('a migration that was changed after it was applied is refused by name', async (t) => {
  const { database } = await createDatabase(t, { template: 'empty' });
  const directory = await migrationsOf(t, two);
  await migrate(database, { directory });
  await write(directory, { '0001_a.sql': 'CREATE TABLE nightfill.a (id bigint)' });
  await assert.rejects(migrate(database, { directory }), { code: 'MIGRATION_CHANGED', message: /0001_a\.sql/ });
  await assert.rejects(pendingMigrations(database, { directory }), { code: 'MIGRATION_CHANGED' });
});

void test('line ends that a checkout rewrote do not make a migration another one', async (t) => {
  const { database } = await createDatabase(t, { template: 'empty' });
  const directory = await migrationsOf(t, { '0001_a.sql': 'CREATE TABLE nightfill.a\n  (id int);\n' });
  await migrate(database, { directory });
  await write(directory, { '0001_a.sql': 'CREATE TABLE nightfill.a\r\n  (id int);\r\n' });
  assert.deepEqual(await migrate(database, { directory }), { applied: [] });
});

void test('a schema that a newer version made is refused', async (t) => {
  const { database } = await createDatabase(t, { template: 'empty' });
  const directory = await migrationsOf(t, two);
  await migrate(database, { directory });
  await rm(new URL('0002_b.sql', directory));
  await assert.rejects(migrate(database, { directory }), { code: 'SCHEMA_TOO_NEW', message: /0002_b\.sql/ });
});

void test('a user who may not create schemas is told what to grant', async (t) => {
  const own = await createDatabase(t, { template: 'empty' });
  const { stranger } = await connectAsStranger(t, own);
  await assert.rejects(migrate(stranger), {
    code: 'MIGRATION_DENIED',
    message: /the night database.*grant this user CREATE/,
  });
});

void test('a user who may not look into the schema is told what to grant', async (t) => {
  const own = await createDatabase(t);
  const { stranger, role } = await connectAsStranger(t, own);
  await assert.rejects(migrate(stranger), { code: 'MIGRATION_DENIED', message: /grant this user/ });
  await assert.rejects(pendingMigrations(stranger), { code: 'MIGRATION_DENIED', message: /grant this user/ });
  await own.database.query(`GRANT USAGE ON SCHEMA nightfill TO ${role}`);
  await own.database.query(`GRANT SELECT ON nightfill.migration TO ${role}`);
  assert.deepEqual(await migrate(stranger), { applied: [] });
});
