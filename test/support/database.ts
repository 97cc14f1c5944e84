import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { after, type TestContext } from 'node:test';
import pg from 'pg';
import { migrate, migrationsDirectory } from '../../src/ledger/migrations.ts';
import { Database } from '../../src/sinks/postgres/postgres.ts';
import { startCluster, type TestCluster } from './cluster.ts';
import { until } from './until.ts';

export interface TestDatabase {
  name: string;
  url: string;
  /** Closes by itself; connections still lent then are cut. */
  database: Database;
}

/** Whose end ends what was started for it: a test's context, or node:test itself for the whole file. */
export type Lifetime = Pick<TestContext, 'after'> | { after: typeof after };

let ours: Promise<TestCluster> | undefined;

after(async () => {
  await (await ours)?.[Symbol.asyncDispose]();
});

/** The address of the test run's cluster; without a test run's set-up one is started, and stopped at the end of the file. */
export async function clusterUrl(): Promise<string> {
  const shared = process.env['NIGHTFILL_TEST_CLUSTER'];
  if (shared) return shared;
  ours ??= startCluster();
  return (await ours).url;
}

/**
 * A database of the test's own in the test run's cluster, or in the one at the address `cluster`, with the `nightfill` schema as sql/ has it (`template: 'empty'`: without), dropped
 * when the test has ended.
 */
export async function createDatabase(
  t: Lifetime,
  { template = 'migrated', cluster: own }: { template?: 'migrated' | 'empty'; cluster?: string } = {},
): Promise<TestDatabase> {
  const cluster = own ?? (await clusterUrl());
  const source = template === 'empty' ? 'template0' : await migratedTemplate(cluster);
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  // Copying files costs a third of writing them to the log, and this cluster is not synced to disk.
  await execute(cluster, `CREATE DATABASE ${name} TEMPLATE ${source} STRATEGY FILE_COPY`);
  const url = addressOf(cluster, name);
  const database = await open(url);
  t.after(async () => {
    // First the database, then the pool: it would wait for clients that a failed test still holds.
    await execute(cluster, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    await database.close();
  });
  return { name, url, database };
}

/** The cluster's address for a role that must prove its password, `test`, as the superuser need not; dropped when the test has ended. */
export async function roleWithPassword(t: Lifetime): Promise<URL> {
  const cluster = await clusterUrl();
  const role = `role_${randomUUID().replaceAll('-', '')}`;
  await execute(cluster, `CREATE ROLE ${role} LOGIN PASSWORD 'test'`);
  t.after(async () => execute(cluster, `DROP ROLE ${role}`));
  const url = new URL(cluster);
  url.username = role;
  return url;
}

/** The same address, of another database of that cluster. */
export function addressOf(cluster: string, database: string): string {
  const url = new URL(cluster);
  url.pathname = `/${database}`;
  return url.href;
}

export async function execute(url: string, ...statements: string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

/** The rows of a query, over a connection of its own. */
export async function rowsOf<Row extends pg.QueryResultRow>(url: string, sql: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(sql)).rows;
  } finally {
    await client.end();
  }
}

/**
 * The rows of a query once there are as many, asked over one connection; what fails, as where the table is not there yet, is
 * asked again. Fails when `over` comes first.
 */
export async function untilRows<Row extends pg.QueryResultRow>(
  url: string,
  sql: string,
  { rows: atLeast = 1, over }: { rows?: number; over: Promise<unknown> },
): Promise<Row[]> {
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  pool.on('error', () => {});
  try {
    let rows: Row[] = [];
    await until(async () => {
      rows = await pool.query<Row>(sql).then(
        (result) => result.rows,
        () => [],
      );
      return rows.length >= atLeast;
    }, over);
    return rows;
  } finally {
    await pool.end();
  }
}

async function open(url: string): Promise<Database> {
  return Database.open({ config: { connectionString: url }, description: "the test's database" });
}

const templates = new Map<string, Promise<string>>();

/** Made once per cluster and state of sql/, whichever test process comes first; the others wait for it. */
async function migratedTemplate(cluster: string): Promise<string> {
  const files = (await readdir(migrationsDirectory)).toSorted();
  const texts = await Promise.all(files.map(async (file) => readFile(new URL(file, migrationsDirectory), 'utf8')));
  const name = `template_${createHash('sha256').update(texts.join('\0')).digest('hex').slice(0, 16)}`;
  const made = templates.get(name) ?? makeTemplate(cluster, name);
  templates.set(name, made);
  return made;
}

async function makeTemplate(cluster: string, name: string): Promise<string> {
  const client = new pg.Client({ connectionString: cluster });
  await client.connect();
  try {
    await client.query(`SELECT pg_advisory_lock(hashtext('template'))`);
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [name]);
    if (rowCount) return name;
    const draft = `draft_${randomUUID().replaceAll('-', '')}`;
    await client.query(`CREATE DATABASE ${draft}`);
    {
      await using database = await open(addressOf(cluster, draft));
      await migrate(database);
    }
    await client.query(`ALTER DATABASE ${draft} RENAME TO ${name}`);
    return name;
  } finally {
    await client.end();
  }
}
