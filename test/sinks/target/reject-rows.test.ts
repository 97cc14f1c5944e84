import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Row } from '../../../src/sinks/target/copy-upsert.ts';
import { createDatabase } from '../../support/database.ts';
import { connect as connectTo, openDatabase, openTarget } from '../../support/load-fixture.ts';

test('a row without its key is rejected and the others are loaded', async () => {
  const database = await openDatabase();
  const { load } = await openTarget(database, { id: 'text', amount: 'int' });
  const { rejected, inserted } = await load([
    ['a', '1'],
    [null, '2'],
    ['', '3'],
  ]);
  assert.equal(inserted, 2);
  assert.deepEqual(
    rejected.map(({ row, column, code }) => [row, column, code]),
    [[1, 'id', 'KEY_MISSING']],
  );
});

test('each value a column cannot hold is rejected with its column and SQLSTATE, and the rest is loaded', async () => {
  const database = await openDatabase();
  await database.query(`CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE DOMAIN even AS int CHECK (VALUE % 2 = 0)`);
  const columns = {
    id: 'text',
    currency: 'char(3)',
    amount: 'numeric(6,2)',
    units: 'int',
    renews: 'date',
    mood: 'mood',
    tags: 'int[]',
    raw: 'bytea',
    data: 'jsonb',
    pairs: 'even',
    active: 'boolean',
    ratio: 'double precision',
    at: 'timestamptz',
    uid: 'uuid',
  };
  const { load } = await openTarget(database, columns);
  const good = {
    id: '',
    currency: 'EUR',
    amount: '9999.99',
    units: '1',
    renews: '2024-02-29',
    mood: 'glad',
    tags: '{1,2}',
    raw: String.raw`\xdeadbeef`,
    data: '{"a":[1]}',
    pairs: '4',
    active: 'true',
    ratio: '1.5',
    at: '2024-01-01T00:00:00Z',
    uid: '0b3a6a3e-3b2e-4c0a-8b0a-0a0b0c0d0e0f',
  };
  const bad: [string, string, string][] = [
    ['currency', 'EURO', '22001'],
    ['amount', '10000', '22003'],
    ['amount', '1,5', '22P02'],
    ['units', '2147483648', '22003'],
    ['units', '', '22P02'],
    ['renews', '2023-02-29', '22008'],
    ['renews', 'soon', '22007'],
    ['mood', 'meh', '22P02'],
    ['tags', '{1,', '22P02'],
    ['tags', '{x}', '22P02'],
    ['raw', String.raw`\xzz`, '22023'],
    ['data', '{a:1}', '22P02'],
    ['data', String.raw`"\u0000"`, '22P05'],
    ['pairs', '3', '23514'],
    ['active', 'maybe', '22P02'],
    ['ratio', '1e400', '22003'],
    ['at', '2024-13-01', '22008'],
    ['uid', 'zz', '22P02'],
  ];
  const row = (id: string, values: Partial<Record<string, string>>): Row => Object.values({ ...good, ...values, id });
  const rows = bad.flatMap(([column, value], index) => [
    row(`good${index}`, {}),
    row(`bad${index}`, { [column]: value }),
  ]);
  const { rejected, inserted } = await load(rows, { sums: [{ column: 'amount', by: 'currency' }] });
  // PostgreSQL 14 and 15 can tell which row is too long, and not where.
  const lengthColumn = database.serverVersion >= 160_000 ? 'currency' : undefined;
  assert.deepEqual(
    rejected.map((one) => [one.row, one.column, one.code]),
    bad.map(([column, , state], index) => [2 * index + 1, state === '22001' ? lengthColumn : column, `PG_${state}`]),
  );
  assert.equal(inserted, bad.length);
});

test('a text too long for its column is refused, not cut, though nothing else is wrong', async () => {
  const database = await openDatabase();
  const { load } = await openTarget(database, { id: 'varchar(5)', currency: 'char(3)', codes: 'varchar(2)[]' });
  const { rejected, inserted } = await load([
    ['a', 'EURO', '{}'],
    ['b', 'EUR', '{abc}'],
    ['abcdef', 'EUR', '{}'],
    ['c', 'EUR', '{ab}'],
  ]);
  assert.equal(inserted, 1);
  assert.deepEqual(
    rejected.map(({ row, code }) => [row, code]),
    [
      [0, 'PG_22001'],
      [1, 'PG_22001'],
      [2, 'PG_22001'],
    ],
  );
});

test('rows that constraints refuse are found one by one, and the rest is loaded', async () => {
  const database = await openDatabase();
  await database.query(`
    CREATE TABLE customer (id text PRIMARY KEY);
    INSERT INTO customer VALUES ('known');
    CREATE TABLE target (id text PRIMARY KEY, email text UNIQUE, customer text REFERENCES customer DEFERRABLE INITIALLY DEFERRED,
                         amount int NOT NULL CHECK (amount > 0));
    INSERT INTO target VALUES ('other', 'taken@example.com', 'known', 1)`);
  const { load } = await openTarget(database, { id: 'text', email: 'text', customer: 'text', amount: 'int' });
  const rows: Row[] = Array.from({ length: 40 }, (_, index) => [`k${index}`, `${index}@example.com`, 'known', '1']);
  rows[3] = ['k3', 'taken@example.com', 'known', '1'];
  rows[17] = ['k17', '17@example.com', 'unknown', '1'];
  rows[18] = ['k18', '18@example.com', 'known', '-1'];
  rows[39] = ['k39', '39@example.com', 'known', null];
  const { rejected, inserted } = await load(rows);
  assert.equal(inserted, 36);
  assert.deepEqual(
    rejected.map(({ row, code }) => [row, code]),
    [
      [3, 'PG_23505'],
      [17, 'PG_23503'],
      [18, 'PG_23514'],
      [39, 'PG_23502'],
    ],
  );
  assert.match(rejected[0]?.message ?? '', /taken@example\.com/);
  assert.equal(rejected[3]?.column, 'amount');
});

test('a chunk of nothing but refused rows ends, with each of them named', async () => {
  const database = await openDatabase();
  await database.query('CREATE TABLE target (id int PRIMARY KEY, amount int CHECK (amount > 0))');
  const { load } = await openTarget(database, { id: 'int', amount: 'int' });
  const { rejected, inserted } = await load(Array.from({ length: 500 }, (_, index) => [`${index}`, '0']));
  assert.equal(inserted, 0);
  assert.deepEqual(
    rejected.map(({ row }) => row),
    Array.from({ length: 500 }, (_, index) => index),
  );
});

test('half a surrogate pair and a NUL are rejected, not stored as something else', async () => {
  const database = await openDatabase();
  const { load } = await openTarget(database, { id: 'text', note: 'text' });
  const { rejected, inserted } = await load([
    ['a', 'x\ud83d'],
    ['b', 'x\0y'],
    ['c', 'x'],
    ['d', '\0'],
    ['\udc00', 'x'],
  ]);
  assert.equal(inserted, 1);
  assert.deepEqual(
    rejected.map(({ row, code }) => [row, code]),
    [
      [0, 'VALUE_NOT_UNICODE'],
      [1, 'PG_22021'],
      [3, 'PG_22021'],
      [4, 'VALUE_NOT_UNICODE'],
    ],
  );
});

test('a character the database encoding lacks costs its own row only', async (t) => {
  const { name, url, database: pool } = await createDatabase(t, { template: 'empty' });
  await pool.query(`CREATE DATABASE ${name}_latin1 TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'`);
  const database = await connectTo(t, `${url}_latin1`);
  const { load } = await openTarget(database, { id: 'text', note: 'text' });
  const { rejected, inserted } = await load([
    ['a', 'é'],
    ['b', '😀'],
    ['c', 'x'],
    ['d', '漢'],
  ]);
  assert.equal(inserted, 2);
  assert.deepEqual(
    rejected.map(({ row, code }) => [row, code]),
    [
      [1, 'PG_22P05'],
      [3, 'PG_22P05'],
    ],
  );
});
