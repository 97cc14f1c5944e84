import assert from 'node:assert/strict';
import { test } from 'node:test';
import { copyUpsert } from '../../../src/sinks/target/copy-upsert.ts';
import type { Row } from '../../../src/sinks/target/copy-upsert.ts';
import { prepareTarget } from '../../../src/sinks/target/target-table.ts';
import { openDatabase, openTarget } from '../../support/load-fixture.ts';

test('of rows with the same key the first is loaded and the later ones are rejected by name', async () => {
  const database = await openDatabase();
  const { load } = await openTarget(database, { id: 'numeric', amount: 'int' });
  const { rejected, inserted } = await load([
    ['1.0', '1'],
    ['2', '2'],
    ['1', '3'],
    ['01.00', '4'],
  ]);
  assert.equal(inserted, 2);
  assert.deepEqual(
    rejected.map(({ row, code }) => [row, code]),
    [
      [2, 'DUPLICATE_KEY'],
      [3, 'DUPLICATE_KEY'],
    ],
  );
  assert.match(rejected[0]?.message ?? '', /^row 0 has the same load key \(id = 1\) and comes first/);
  const { rows } = await database.query('SELECT id, amount FROM target ORDER BY id');
  assert.deepEqual(rows, [
    { id: '1.0', amount: 1 },
    { id: '2', amount: 2 },
  ]);
});

test('a row that is refused keeps no later row with its key out', async () => {
  const database = await openDatabase();
  const { load } = await openTarget(database, { id: 'text', amount: 'int' });
  const { rejected, inserted } = await load([
    ['a', 'many'],
    ['a', '1'],
    ['b', '2'],
  ]);
  assert.equal(inserted, 2);
  assert.deepEqual(
    rejected.map(({ row, code }) => [row, code]),
    [[0, 'PG_22P02']],
  );
});

test('keys that a collation takes for equal are one key, also where only the index knows', async () => {
  const database = await openDatabase();
  await database.query(
    `CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
     CREATE TABLE caseless (id text COLLATE nocase PRIMARY KEY, amount int)`,
  );
  const table = await database.withTransaction(async (client) =>
    prepareTarget(client, {
      table: { schema: 'public', name: 'caseless' },
      key: ['id'],
      columns: [
        { name: 'id', type: 'text' },
        { name: 'amount', type: 'int' },
      ],
      create: false,
    }),
  );
  const load = async (rows: Row[]) =>
    database.withTransaction(async (client) => copyUpsert(client, table, rows, { sums: [{ column: 'amount' }] }));
  for (const amount of ['1', '2']) {
    const { rejected, stored, totals } = await load([
      ['c7', amount],
      ['x', amount],
      ['C7', amount],
    ]);
    assert.deepEqual(
      rejected.map(({ row, code }) => [row, code]),
      [[2, 'DUPLICATE_KEY']],
    );
    assert.deepEqual(
      stored.map(({ row }) => row),
      [0, 1],
    );
    assert.equal(totals[0]?.loaded, String(2 * Number(amount)));
  }
});

test('what a trigger stores under another key is taken back, with the row that it came from', async () => {
  const database = await openDatabase();
  const { load } = await openTarget(database, { id: 'text', amount: 'int' });
  await database.query(
    `CREATE FUNCTION lower_id() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.id := lower(new.id); RETURN new; END $$;
     CREATE TRIGGER lower_id BEFORE INSERT ON target FOR EACH ROW EXECUTE FUNCTION lower_id()`,
  );
  for (const inserted of [1, 0]) {
    const result = await load([
      ['a', '1'],
      ['B', '2'],
    ]);
    assert.deepEqual(
      result.rejected.map(({ row, code }) => [row, code]),
      [[1, 'NOT_STORED']],
    );
    assert.deepEqual([result.inserted, result.unchanged], [inserted, 1 - inserted]);
    assert.deepEqual((await database.query('SELECT id FROM target')).rows, [{ id: 'a' }]);
  }
});

test('an update that a trigger suppresses is refused, and no row that did not change is', async () => {
  const database = await openDatabase();
  const first = await openTarget(database, { id: 'text', name: 'varchar(9)', amount: 'numeric(9,2)', about: 'json' });
  await first.load(['a', 'b', 'c'].map((id) => [id, 'old', '1.00', '{"x":1}']));
  await database.query(
    // Wider than the job says: what stands there is the same and is written otherwise.
    `ALTER TABLE target ALTER COLUMN amount TYPE numeric(12,4);
     CREATE FUNCTION keep_b() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN IF old.id = 'b' THEN RETURN NULL; END IF; new.name := upper(new.name); RETURN new; END $$;
     CREATE TRIGGER keep_b BEFORE UPDATE ON target FOR EACH ROW EXECUTE FUNCTION keep_b()`,
  );
  const { load } = await openTarget(database, {
    id: 'text',
    name: 'varchar(9)',
    amount: 'numeric(9,2)',
    about: 'json',
  });
  const { rejected, updated, unchanged } = await load([
    ['a', 'new', '1.00', '{"x":1}'],
    ['b', 'new', '1.00', '{"x":1}'],
    ['c', 'old', '1.00', '{"x":1}'],
  ]);
  assert.deepEqual(
    rejected.map(({ row, code }) => [row, code]),
    [[1, 'NOT_STORED']],
  );
  assert.deepEqual([updated, unchanged], [1, 1]);
});

test('rows that belong to others are taken back, and the others of the load stay', async () => {
  const database = await openDatabase();
  const { load } = await openTarget(database, { id: 'text', amount: 'int' });
  await load([['b', '1']]);
  const asked: string[][] = [];
  const { rejected, updated, inserted, totals } = await load(
    [
      ['a', '5'],
      ['b', '6'],
      ['c', 'none'],
    ],
    {
      sums: [{ column: 'amount' }],
      claim: async (held) => {
        asked.push(held.map(({ key }) => key));
        return Promise.resolve(
          held
            .filter(({ key }) => key === '["b"]')
            .map(({ row }) => ({ row, code: 'DUPLICATE_KEY', message: 'it is of another' })),
        );
      },
    },
  );
  assert.deepEqual(asked, [['["a"]', '["b"]'], ['["a"]']]);
  assert.deepEqual(
    rejected.map(({ row, code }) => [row, code]),
    [
      [1, 'DUPLICATE_KEY'],
      [2, 'PG_22P02'],
    ],
  );
  assert.deepEqual([inserted, updated, totals[0]?.loaded], [1, 0, '5']);
  assert.deepEqual((await database.query('SELECT id, amount FROM target ORDER BY id')).rows, [
    { id: 'a', amount: 5 },
    { id: 'b', amount: 1 },
  ]);
});

test('keys that differ in the whole but share a part are different keys', async () => {
  const database = await openDatabase();
  const { load } = await openTarget(database, { id: 'text', month: 'date', amount: 'int' }, { key: ['id', 'month'] });
  const rows: Row[] = [
    ['a', '2026-01-01', '1'],
    ['a', '2026-02-01', '2'],
    ['b', '2026-01-01', '3'],
    ['a', '20260101', '4'],
  ];
  const { rejected, inserted } = await load(rows);
  assert.equal(inserted, 3);
  assert.deepEqual(
    rejected.map(({ row }) => row),
    [3],
  );
});
