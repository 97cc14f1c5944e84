import { test } from 'node:test';
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { resolveConnection } from '../../../src/sinks/postgres/choose-database.ts';
import { migrate } from '../../../src/ledger/migrations.ts';
import { CommitInDoubtError, Database, DatabaseError } from '../../../src/sinks/postgres/postgres.ts';
import { missing, startCluster } from '../../support/cluster.ts';
import { clusterUrl, createDatabase, roleWithPassword } from '../../support/database.ts';
import { pgbouncerMissing, startPgbouncer } from '../../support/pgbouncer.ts';
import { startTcpProxy } from '../../support/tcp-proxy.ts';

const open = async (url: string, connections = 4): Promise<Database> => {
  const connection = resolveConnection({ databaseUrl: url, environment: {} });
  assert.equal(connection.kind, 'server');
  return Database.open({ ...connection, connections });
};

const processIdOf = async (client: { query: Database['query'] }): Promise<number> =>
  (await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]!.pid;

void test('a connection that is terminated while it is lent is a transient error, and the next one is good', async (t) => {
  const { database } = await createDatabase(t, { template: 'empty' });
  const terminated = database.withClient(async (client) => {
    await database.query('SELECT pg_terminate_backend($1)', [await processIdOf(client)]);
    await delay(50);
    await client.query('SELECT 1');
  });
  await assert.rejects(terminated, (error: unknown) => error instanceof DatabaseError && error.class === 'transient');
  assert.equal((await database.query('SELECT 1')).rowCount, 1);
});

void test('a statement that is cut short by the server tells which SQLSTATE', async (t) => {
  const { database } = await createDatabase(t, { template: 'empty' });
  const terminated = database.withTransaction(async (client) => client.query('SELECT pg_sleep(60)'));
  const terminate = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query = 'SELECT pg_sleep(60)' AND state = 'active'`;
  const terminating = (async () => {
    while ((await database.query(terminate)).rowCount === 0) await delay(5);
  })();
  await assert.rejects(terminated, { code: 'PG_57P01', sqlState: '57P01', class: 'transient' });
  await terminating;
});

void test('a connection that is terminated while idle is reported, and does not end the process', async (t) => {
  const { url, database: other } = await createDatabase(t, { template: 'empty' });
  const heard: Error[] = [];
  await using database = await Database.open({
    config: { connectionString: url },
    description: 'the test',
    connections: 1,
    onIdleError: (error) => heard.push(error),
  });
  await other.query('SELECT pg_terminate_backend($1)', [await processIdOf(database)]);
  while (heard.length === 0) await delay(5);
  assert.equal((await database.query('SELECT 1')).rowCount, 1);
});

for (const level of ['repeatable read', 'serializable'])
  void test(`every statement reads what is committed by then, also where transactions are ${level} by default`, async (t) => {
    const { name, url, database: other } = await createDatabase(t, { template: 'empty' });
    await other.query(`ALTER DATABASE ${name} SET default_transaction_isolation = '${level}'`);
    await other.query('CREATE TABLE counted AS SELECT 0 AS n');
    await using database = await open(url, 2);
    const { waiting } = await database.withTransaction(async (client) => {
      await client.query('SELECT FROM counted');
      await other.query('UPDATE counted SET n = n + 1');
      await client.query('UPDATE counted SET n = n + 1');
      // A statement by itself, which waits for the row and finds it changed.
      const statement = database.query<{ n: number }>('UPDATE counted SET n = n + 1 RETURNING n');
      const blocked = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
      while ((await other.query(blocked)).rowCount === 0) await delay(5);
      return { waiting: statement };
    });
    assert.deepEqual((await waiting).rows, [{ n: 3 }]);
  });

void test('a COMMIT outlives a crash of the server, whatever the database defaults to, and what is stricter stays', async (t) => {
  const { database, name, url } = await createDatabase(t, { template: 'empty' });
  for (const [set, holds] of [
    ['off', 'on'],
    ['remote_apply', 'remote_apply'],
  ]) {
    await database.query(`ALTER DATABASE ${name} SET synchronous_commit = ${set}`);
    await using fresh = await open(url);
    const rows = await fresh.withTransaction(async (client) => (await client.query('SHOW synchronous_commit')).rows);
    assert.deepEqual(rows, [{ synchronous_commit: holds }]);
  }
});

void test('a transaction commits what its task did, and takes all of it back when the task throws', async (t) => {
  const { database } = await createDatabase(t, { template: 'empty' });
  await database.query('CREATE TABLE kept (id integer)');
  await database.withTransaction(async (client) => client.query('INSERT INTO kept VALUES (1)'));
  const failing = database.withTransaction(async (client) => {
    await client.query('INSERT INTO kept VALUES (2)');
    throw new RangeError('enough');
  });
  await assert.rejects(failing, RangeError);
  assert.deepEqual((await database.query('SELECT id FROM kept')).rows, [{ id: 1 }]);
});

void test('a transaction whose task hid a failed statement is not taken for committed', async (t) => {
  const { database } = await createDatabase(t, { template: 'empty' });
  await database.query('CREATE TABLE kept (id integer)');
  const hidden = database.withTransaction(async (client) => {
    await client.query('INSERT INTO kept VALUES (1)');
    await client.query('SELECT 1/0').catch(() => undefined);
  });
  await assert.rejects(hidden, { code: 'PG_NOT_COMMITTED' });
  assert.deepEqual((await database.query('SELECT id FROM kept')).rows, []);
});

void test('a client left within a transaction is not lent again', async (t) => {
  const { url } = await createDatabase(t, { template: 'empty' });
  await using database = await open(url, 1);
  await database.withClient(async (client) => client.query('BEGIN'));
  const { rows } = await database.query<{ fresh: boolean }>(
    'SELECT xact_start = query_start AS fresh FROM pg_stat_activity WHERE pid = pg_backend_pid()',
  );
  assert.deepEqual(rows, [{ fresh: true }]);
});

const inTransaction = `SELECT FROM pg_stat_activity
  WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL AND backend_type = 'client backend'`;
const isCommit = (bytes: Buffer): boolean => bytes.includes('COMMIT\0');

for (const { committed, happening } of [
  { committed: true, happening: 'the answer to COMMIT is lost' },
  { committed: false, happening: 'COMMIT itself is lost' },
]) {
  void test(`when ${happening}, the transaction is in doubt, and the table tells`, async (t) => {
    const { url, database: direct } = await createDatabase(t, { template: 'empty' });
    await direct.query('CREATE TABLE kept (id integer)');
    await using proxy = await startTcpProxy(url);
    await using database = await open(proxy.url);
    proxy.cutWhen({ direction: 'toServer', matches: isCommit, pass: committed });
    const doubtful = database.withTransaction(async (client) => client.query('INSERT INTO kept VALUES (1)'));
    await assert.rejects(doubtful, (error: unknown) => {
      assert.ok(error instanceof CommitInDoubtError, String(error));
      assert.equal(error.class, 'transient');
      return true;
    });
    // Until the server has dealt with the transaction, one way or the other.
    while ((await direct.query(inTransaction)).rowCount) await delay(5);
    assert.equal((await direct.query('SELECT FROM kept')).rowCount, committed ? 1 : 0);
    assert.equal((await database.query('SELECT 1')).rowCount, 1);
  });
}

void test(
  'what PgBouncer says of a server lost during COMMIT leaves the transaction in doubt as well',
  { skip: pgbouncerMissing() },
  async (t) => {
    const { url, database: direct } = await createDatabase(t, { template: 'empty' });
    await direct.query('CREATE TABLE kept (id integer)');
    await using proxy = await startTcpProxy(url);
    const pooled = await startPgbouncer(t, proxy.url);
    await using database = await open(pooled.url);
    proxy.cutWhen({ direction: 'toServer', matches: isCommit, pass: true });
    const doubtful = database.withTransaction(async (client) => client.query('INSERT INTO kept VALUES (1)'));
    await assert.rejects(doubtful, { code: 'COMMIT_IN_DOUBT', class: 'transient' });
    while ((await direct.query(inTransaction)).rowCount) await delay(5);
    assert.equal((await direct.query('SELECT FROM kept')).rowCount, 1);
  },
);

void test('a connection lost before COMMIT is a transient error and leaves no doubt', async (t) => {
  const { url } = await createDatabase(t, { template: 'empty' });
  await using proxy = await startTcpProxy(url);
  await using database = await open(proxy.url);
  proxy.cutWhen({ direction: 'toServer', matches: (bytes) => bytes.includes('VALUES'), pass: false });
  const lost = database.withTransaction(async (client) => client.query('VALUES (1)'));
  await assert.rejects(lost, (error: unknown) => error instanceof DatabaseError && error.class === 'transient');
});

void test('a connection on which nothing comes any more is given up, and closing does not wait for its goodbye', async (t) => {
  const { url } = await createDatabase(t, { template: 'empty' });
  await using proxy = await startTcpProxy(url);
  const { hostname: host, port, username: user, password, pathname } = new URL(proxy.url);
  await using database = await Database.open({
    config: { host, port: Number(port), user, password, database: pathname.slice(1) },
    description: 'the test',
    silenceMs: 300,
  });
  const silent = database.withTransaction(async (client) => {
    proxy.hold();
    return client.query('SELECT 1');
  });
  await assert.rejects(silent, { code: 'PG_CONNECTION', class: 'transient', message: /no data for 0.3 s/ });
});

void test('who finds every client lent waits for one, however long', async (t) => {
  const { url } = await createDatabase(t, { template: 'empty' });
  await using database = await Database.open({
    config: { connectionString: url, connectionTimeoutMillis: 100 },
    description: 'the test',
    connections: 1,
  });
  const [, answer] = await Promise.all([database.withClient(async () => delay(400)), database.query('SELECT 1')]);
  assert.equal(answer.rowCount, 1);
});

void test('a server that accepts and never answers is given up, with a sentence', async () => {
  await using proxy = await startTcpProxy(await clusterUrl());
  proxy.hold();
  const { hostname, port } = new URL(proxy.url);
  const opening = Database.open({
    config: { host: hostname, port: Number(port), user: 'etl', password: 'geheim', connectionTimeoutMillis: 100 },
    description: 'PostgreSQL at there',
  });
  await assert.rejects(opening, {
    code: 'DATABASE_UNREACHABLE',
    message: 'cannot connect to PostgreSQL at there: the server did not answer in time',
  });
});

for (const [what, change, sentence] of [
  ['a wrong password', (url: URL) => (url.password = 'geheim'), /the user or the password is wrong/],
  ['an unknown user', (url: URL) => (url.username = 'nobody'), /the user or the password is wrong/],
  ['no password', (url: URL) => (url.password = ''), /asks for a password/],
  ['a missing database', (url: URL) => (url.pathname = '/absent'), /the database does not exist/],
  ['nobody listening', (url: URL) => (url.port = '1'), /nothing listens there/],
  ['an unknown host', (url: URL) => (url.hostname = 'db.invalid'), /host name (is unknown|cannot be looked up)/],
  ['TLS where the server has none', (url: URL) => (url.search = 'sslmode=require'), /does not offer encryption/],
] as const) {
  void test(`${what} is named in one sentence without the password`, async (t) => {
    const url = await roleWithPassword(t);
    change(url);
    await assert.rejects(open(url.href), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'DATABASE_UNREACHABLE');
      assert.match(error.message, sentence);
      assert.match(error.message, /^cannot connect to PostgreSQL at .* as /);
      assert.doesNotMatch(error.message, /geheim|test@|:test/);
      return true;
    });
  });
}

void test('a refused connection is closed: with its socket open the process would live on', async (t) => {
  const url = await roleWithPassword(t);
  url.password = '';
  const sockets = (): number => process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
  const before = sockets();
  await assert.rejects(open(url.href), { code: 'DATABASE_UNREACHABLE' });
  for (let turn = 0; sockets() > before && turn < 100; turn++) await delay(10);
  assert.equal(sockets(), before);
});

void test('numbers, dates and times that JavaScript would round come back as their text', async (t) => {
  const { database } = await createDatabase(t, { template: 'empty' });
  const { rows } =
    await database.query(`SELECT 12345678901234567.80::numeric AS amount, 9007199254740993::bigint AS count,
    '2024-02-29'::date AS day, '2024-02-29 23:59:59.123456+00'::timestamptz AT TIME ZONE 'UTC' AS moment, 7::int AS small, true AS yes`);
  assert.deepEqual(rows, [
    {
      amount: '12345678901234567.80',
      count: '9007199254740993',
      day: '2024-02-29',
      moment: '2024-02-29 23:59:59.123456',
      small: 7,
      yes: true,
    },
  ]);
});

for (const version of [14, 15] as const) {
  void test(`PostgreSQL ${version} is connected to and migrated`, { skip: await missing(version) }, async () => {
    await using cluster = await startCluster({ version });
    await using database = await open(cluster.url);
    assert.equal(Math.floor(database.serverVersion / 10_000), version);
    assert.notDeepEqual((await migrate(database)).applied, []);
  });
}
