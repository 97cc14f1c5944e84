import { test } from 'node:test';
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { inspect } from 'node:util';
import fc from 'fast-check';
import type pg from 'pg';
import { UsageError } from '../../../src/resilience/failure.ts';
import { resolveConnection } from '../../../src/sinks/postgres/choose-database.ts';
import { repeats } from '../../support/long.ts';

function server(
  databaseUrl: string | undefined,
  environment: NodeJS.ProcessEnv = {},
): { config: pg.PoolConfig; description: string } {
  const connection = resolveConnection({ ...(databaseUrl !== undefined && { databaseUrl }), environment });
  assert.equal(connection.kind, 'server');
  return connection as { config: pg.PoolConfig; description: string };
}

function refusal(databaseUrl: string | undefined, environment: NodeJS.ProcessEnv = {}): UsageError {
  try {
    server(databaseUrl, environment);
  } catch (error) {
    assert.ok(error instanceof UsageError, String(error));
    return error;
  }
  throw new Error(`refused was expected for ${databaseUrl}`);
}

void test('without any address the database is the embedded one', () => {
  assert.deepEqual(resolveConnection({ environment: {} }), { kind: 'embedded' });
  assert.deepEqual(resolveConnection({ environment: { DATABASE_URL: '', PGHOST: '' } }), { kind: 'embedded' });
});

void test('a password or an sslmode alone does not mean a server', () => {
  assert.deepEqual(resolveConnection({ environment: { PGPASSWORD: 'x', PGSSLMODE: 'require' } }), { kind: 'embedded' });
});

void test('the option comes before NIGHTFILL_DATABASE_URL, that before DATABASE_URL, and that before PG variables', () => {
  const environment: NodeJS.ProcessEnv = {
    PGHOST: 'd',
    DATABASE_URL: 'postgres://c',
    NIGHTFILL_DATABASE_URL: 'postgres://b',
  };
  const hosts = [server('postgres://a', environment).config.host];
  for (const name of [undefined, 'NIGHTFILL_DATABASE_URL', 'DATABASE_URL']) {
    if (name) delete environment[name];
    hosts.push(server(undefined, environment).config.host);
  }
  assert.deepEqual(hosts, ['a', 'b', 'c', 'd']);
});

const pinned = (url: string) => ({ name: 'WAREHOUSE_URL', url: { reveal: () => url } });

void test('a pinned database is the one that is used, whatever the environment names, and nothing completes it', () => {
  const environment = {
    DATABASE_URL: 'postgres://b/elsewhere',
    NIGHTFILL_DATABASE_URL: 'postgres://c/elsewhere',
    PGHOST: 'd',
    PGPORT: '1',
    PGDATABASE: 'elsewhere',
    PGUSER: 'other',
    PGSSLMODE: 'verify-full',
    PGOPTIONS: '-c search_path=elsewhere',
  };
  const connection = resolveConnection({ environment, pinned: pinned('postgres://etl@warehouse') });
  assert.ok(connection.kind === 'server');
  assert.deepEqual(connection.config, {
    host: 'warehouse',
    port: 5432,
    user: 'etl',
    database: 'etl',
    ssl: false,
    // Without any, pg would take PGOPTIONS itself.
    options: ' ',
  });
  assert.deepEqual(resolveConnection({ environment, pinned: 'embedded' }), { kind: 'embedded' });
});

void test('--database-url beside a pinned database is refused, and neither password is repeated', () => {
  const choice = { environment: {}, databaseUrl: 'postgres://etl:geheim@h/night' };
  for (const which of [pinned('postgres://etl:geheim@warehouse/night'), 'embedded'] as const)
    assert.throws(
      () => resolveConnection({ ...choice, pinned: which }),
      (error) =>
        error instanceof UsageError && /leave --database-url out/.test(error.message) && !/geheim/.test(inspect(error)),
    );
});

void test('a pinned address that is none is named by its variable, without repeating it', () => {
  assert.throws(
    () => resolveConnection({ environment: {}, pinned: pinned('mysql://etl:geheim@h/night') }),
    (error) =>
      error instanceof UsageError &&
      error.message.startsWith('WAREHOUSE_URL is not a database URL') &&
      !/geheim/.test(inspect(error)),
  );
});

void test('an unattended start does not fall back to the embedded database, unless that is named', () => {
  const unattended = 'cron';
  assert.throws(
    () => resolveConnection({ environment: { PGPASSWORD: 'geheim' }, unattended }),
    (error) =>
      error instanceof UsageError &&
      error.code === 'DATABASE_NOT_NAMED' &&
      /--trigger cron.*database: embedded/.test(error.message),
  );
  assert.deepEqual(resolveConnection({ environment: {}, unattended, pinned: 'embedded' }), { kind: 'embedded' });
  assert.equal(resolveConnection({ environment: { DATABASE_URL: 'postgres://h' }, unattended }).kind, 'server');
});

void test('a URL gives every part, and the description leaves the password out', () => {
  const { config, description } = server(
    'postgresql://etl:ge%40heim@db.example:6432/night?options=-c%20geqo%3Doff&connect_timeout=3',
  );
  assert.deepEqual(config, {
    host: 'db.example',
    port: 6432,
    user: 'etl',
    password: 'ge@heim',
    database: 'night',
    ssl: false,
    options: '-c geqo=off',
    connectionTimeoutMillis: 3000,
  });
  assert.equal(description, 'PostgreSQL at db.example:6432/night as etl');
});

void test("what a URL leaves open comes from the PG variables, then from libpq's defaults", () => {
  const { config } = server('postgres://db.example', { PGUSER: 'etl', PGPASSWORD: 'geheim', PGPORT: '6000' });
  assert.deepEqual(config, {
    host: 'db.example',
    port: 6000,
    user: 'etl',
    password: 'geheim',
    database: 'etl',
    ssl: false,
  });
  const bare = server(undefined, { PGDATABASE: 'night' });
  const user = userInfo().username;
  assert.deepEqual(bare.config, { host: 'localhost', port: 5432, user, database: 'night', ssl: false });
  assert.equal(bare.description, `PostgreSQL at localhost:5432/night as ${user}`);
});

void test('an IPv6 address, a socket folder and an empty host are understood', () => {
  assert.equal(server('postgres://etl@[::1]:6000/night').config.host, '::1');
  assert.equal(server('postgres://etl@[::1]:6000/night').description, 'PostgreSQL at [::1]:6000/night as etl');
  assert.equal(server('postgres://%2Fvar%2Frun%2Fpostgresql/night').config.host, '/var/run/postgresql');
  assert.equal(server('postgres:///night?host=/var/run/postgresql').config.host, '/var/run/postgresql');
  assert.deepEqual(
    [server('postgres://etl@/night').config.host, server('postgres://etl@/night').config.user],
    ['localhost', 'etl'],
  );
});

void test('PGHOSTADDR is where to connect, PGHOST whose certificate is expected', () => {
  const { config } = server(undefined, { PGHOST: 'db.example', PGHOSTADDR: '10.0.0.1', PGSSLMODE: 'require' });
  assert.equal(config.host, '10.0.0.1');
  assert.deepEqual(config.ssl, { rejectUnauthorized: true, servername: 'db.example' });
});

for (const [sslmode, ssl] of [
  ['disable', false],
  ['none', false],
  ['allow', false],
  ['prefer', false],
  ['require', { rejectUnauthorized: true }],
  ['verify-ca', { rejectUnauthorized: true }],
  ['verify-full', { rejectUnauthorized: true }],
  ['no-verify', { rejectUnauthorized: false }],
] as const) {
  void test(`sslmode ${sslmode} is the same in a URL and in PGSSLMODE`, () => {
    assert.deepEqual(server(`postgres://h?sslmode=${sslmode}`).config.ssl, ssl);
    assert.deepEqual(server('postgres://h', { PGSSLMODE: sslmode }).config.ssl, ssl);
    assert.deepEqual(server(`postgres://h?sslmode=${sslmode}`, { PGSSLMODE: 'disable' }).config.ssl, ssl);
  });
}

void test('ssl=true, as other drivers write it, verifies', () => {
  assert.deepEqual(server('postgres://h?ssl=true').config.ssl, { rejectUnauthorized: true });
  assert.equal(server('postgres://h?ssl=false').config.ssl, false);
});

void test('certificates are read from the files named, and a missing file is named', (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'nightfill-connection-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = path.join(folder, 'ca.pem');
  writeFileSync(file, 'CERTIFICATE');
  assert.deepEqual(server(`postgres://h?sslmode=verify-full&sslrootcert=${file}`).config.ssl, {
    rejectUnauthorized: true,
    ca: 'CERTIFICATE',
  });
  assert.deepEqual(server('postgres://h?sslmode=verify-full&sslrootcert=system').config.ssl, {
    rejectUnauthorized: true,
  });
  assert.match(refusal(`postgres://h?sslmode=verify-full&sslrootcert=${file}x`).message, /ca\.pemx.*cannot be read/);
});

void test('PGSERVICE is refused, since its file is not read; a URL makes it irrelevant', () => {
  assert.equal(refusal(undefined, { PGSERVICE: 'night' }).code, 'DATABASE_SERVICE_UNSUPPORTED');
  assert.equal(server('postgres://h', { PGSERVICE: 'night' }).config.host, 'h');
});

void test('several hosts are refused, in a URL and in PGHOST', () => {
  for (const error of [
    refusal('postgres://a:1,b:2/night'),
    refusal('postgres://a,b/night'),
    refusal(undefined, { PGHOST: 'a,b' }),
  ])
    assert.match(error.message, /several/);
});

void test('parameters of other tools are ignored, and a misspelt one is named', () => {
  assert.equal(server('postgres://h/night?schema=public&pgbouncer=true&application_name=x').config.database, 'night');
  assert.match(refusal('postgres://h/night?sslmod=require').message, /"sslmod"/);
});

for (const [url, sentence] of [
  ['mysql://etl:geheim@h/night', /begin with postgres:\/\//],
  ['host=h password=geheim', /begin with postgres:\/\//],
  ['', /--database-url is empty/],
  ['postgres://etl:geheim/x@h/night', /percent-encoded/],
  ['postgres://etl:geheim?x@h/night', /percent-encoded/],
  ['postgres://etl:geheim#x@h/night', /percent-encoded/],
  ['postgres://etl:5432?geheim@h/night', /percent-encoded/],
  ['postgres://etl:geheim%zz@h/night', /hexadecimal/],
  ['postgres://etl:geheim@h:port/night', /host and port/],
  ['postgres://etl:geheim@h:70000/night', /whole number/],
  ['postgres://etl:geheim@h/night?sslmode=geheim', /sslmode/],
] as const) {
  void test(`${JSON.stringify(url)} is refused without repeating the password`, () => {
    const error = refusal(url);
    assert.match(error.message, sentence);
    assert.doesNotMatch(inspect(error), /geheim/);
  });
}

void test('any user, password and database survive a URL when percent-encoded', () => {
  const text = fc.string({ unit: 'binary', minLength: 1 }).filter((value) => value.isWellFormed());
  fc.assert(
    fc.property(text, text, text, (user, password, database) => {
      const [u, p, d] = [user, password, database].map(encodeURIComponent);
      const { config } = server(`postgres://${u}:${p}@h/${d}`);
      assert.deepEqual([config.user, config.password, config.database], [user, password, database]);
    }),
  );
});

void test('whatever stands in a URL, it is understood or refused as a usage error that does not hold the password', () => {
  const secret = 'Ge7heim';
  const scrap = fc.constantFrom('/', '?', '#', '@', ':', '%', ',', '[', ']', '=', '&', 'a', '1', ' ');
  fc.assert(
    fc.property(fc.array(scrap), fc.array(scrap), (before, after) => {
      const url = `postgres://etl:${before.join('')}${secret}${after.join('')}@h:5432/night`;
      try {
        const { config, description } = server(url);
        assert.ok(config.password === undefined || !description.includes(secret), description);
      } catch (error) {
        assert.ok(error instanceof UsageError, String(error));
        assert.ok(!inspect(error).includes(secret), error.message);
      }
    }),
    { numRuns: repeats(300, 20_000) },
  );
});
