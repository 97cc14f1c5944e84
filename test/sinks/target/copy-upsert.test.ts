import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { columnText } from '../../../src/sinks/target/column-value.ts';
import type { JsonValue } from '../../../src/sinks/target/column-value.ts';
import { copyUpsert } from '../../../src/sinks/target/copy-upsert.ts';
import type { Row } from '../../../src/sinks/target/copy-upsert.ts';
import { prepareTarget } from '../../../src/sinks/target/target-table.ts';
import { declare, openDatabase, openTarget } from '../../support/load-fixture.ts';
import { repeats } from '../../support/long.ts';

test('inserted, updated and unchanged rows are told apart, and together are all rows', async () => {
  const database = await openDatabase();
  const { load } = await openTarget(database, { id: 'text', amount: 'numeric(18,2)' });
  const first = await load([
    ['a', '1.00'],
    ['b', '2.00'],
    ['c', null],
  ]);
  assert.deepEqual([first.inserted, first.updated, first.unchanged], [3, 0, 0]);
  const second = await load([
    ['a', '1'],
    ['b', '2.50'],
    ['c', null],
    ['d', '4.00'],
  ]);
  assert.deepEqual([second.inserted, second.updated, second.unchanged], [1, 1, 2]);
  assert.deepEqual(second.rejected, []);
});

test('a row that did not change is not written again', async () => {
  const database = await openDatabase();
  const { load } = await openTarget(database, { id: 'text', amount: 'numeric(18,2)', about: 'json' });
  const versions = async (): Promise<unknown[]> =>
    (await database.query('SELECT id, ctid::text, xmin::text FROM target ORDER BY id')).rows;
  await load([
    ['a', '1.00', '{"x":1}'],
    ['b', '2.00', '{"x":1}'],
  ]);
  const before = await versions();
  await load([
    ['a', '1.0', '{"x":1}'],
    ['b', '2.00', '{"x":2}'],
  ]);
  const after = await versions();
  assert.deepEqual(after[0], before[0]);
  assert.notDeepEqual(after[1], before[1]);
});

test('texts arrive as they are, whatever COPY, SQL or a shell would make of them', async () => {
  const database = await openDatabase();
  const { load } = await openTarget(database, { id: 'text', note: 'text' });
  const notes = [
    'a\tb',
    'a\nb',
    'a\r\nb',
    String.raw`\N`,
    String.raw`\.`,
    '\\',
    String.raw`\\t`,
    '',
    ' ',
    'NULL',
    `'"$$;--`,
  ];
  notes.push('😀é漢\u200f', 'x'.repeat(3000), '\u0001\u001f\u007f', '\ufeffbom', '\ufffd', '\uffff');
  const { inserted } = await load(notes.map((note, index) => [`k${index}`, note]));
  assert.equal(inserted, notes.length);
  const { rows } = await database.query<{ note: string }>('SELECT note FROM target ORDER BY substr(id, 2)::int');
  assert.deepEqual(
    rows.map(({ note }) => note),
    notes,
  );
});

test('any text and any decimal read back as they were given', async () => {
  const database = await openDatabase();
  const { load } = await openTarget(database, {
    id: 'int',
    note: 'text',
    amount: 'numeric',
    list: 'text[]',
    data: 'jsonb',
  });
  const note = fc.string({ unit: 'binary', maxLength: 30 }).map((text) => text.toWellFormed().replaceAll('\0', ''));
  const amount = fc
    .tuple(fc.bigInt(), fc.stringMatching(/^[0-9]{1,12}$/))
    .map(([whole, fraction]) => `${whole}.${fraction}`);
  const shapes = { list: { kind: 'array', element: { kind: 'text' } }, data: { kind: 'json' } } as const;
  const text = (value: JsonValue, shape: (typeof shapes)[keyof typeof shapes]): string => {
    const result = columnText(value, { name: 'c', formatted: '', shape }, { timezone: 'UTC' });
    assert.ok('text' in result && result.text !== null);
    return result.text;
  };
  const given = fc.array(fc.record({ note, amount, list: fc.array(note) }), { minLength: 1, maxLength: 30 });
  await fc.assert(
    fc.asyncProperty(given, async (items) => {
      const { rejected } = await load(
        items.map((item, id) => [
          `${id}`,
          item.note,
          item.amount,
          text(item.list, shapes.list),
          text(item.list, shapes.data),
        ]),
      );
      assert.deepEqual(rejected, []);
      const { rows } = await database.query(
        'SELECT note, amount::text, list, data FROM target WHERE id < $1 ORDER BY id',
        [items.length],
      );
      assert.deepEqual(
        rows,
        items.map((item) => ({ ...item, data: item.list })),
      );
    }),
    { numRuns: repeats(15, 500) },
  );
});

test('names of tables and columns may hold quotes, blanks and keywords', async () => {
  const database = await openDatabase();
  const columns = {
    'the "key"': 'text',
    select: 'int',
    excluded: 'int',
    target: 'int',
    c0: 'int',
    s: 'int',
    'Ünï çode': 'int',
  };
  const { load } = await openTarget(database, columns, { key: ['the "key"'] });
  const row: Row = ['a', '1', '2', '3', '4', '5', '6'];
  const sums = [{ column: 'select', by: 'the "key"' }, { column: 'Ünï çode' }];
  assert.equal((await load([row], { sums })).inserted, 1);
  assert.equal((await load([['a', '1', '2', '3', '4', '5', '7']], { sums })).updated, 1);
  const { rows } = await database.query('SELECT * FROM target');
  assert.deepEqual(Object.values(rows[0] as object), ['a', 1, 2, 3, 4, 5, 7]);
});

test('a table of nothing but its key can be loaded', async () => {
  const database = await openDatabase();
  const { load } = await openTarget(database, { id: 'text' });
  assert.equal((await load([['a'], ['b']])).inserted, 2);
  const again = await load([['a'], ['c']]);
  assert.deepEqual([again.inserted, again.updated, again.unchanged], [1, 0, 1]);
});

for (const columns of [{ id: 'text' }, { id: 'text', name: 'text' }]) {
  test(`loading takes a mark back, and the row counts as updated (${Object.keys(columns).join(', ')})`, async () => {
    const database = await openDatabase();
    const declaration = { ...declare(columns), missing: 'mark' as const };
    const table = await database.withTransaction(async (client) => prepareTarget(client, declaration));
    const load = async (ids: string[]) =>
      database.withTransaction(async (client) => {
        const rows = ids.map((id) => Object.keys(columns).map(() => id));
        const { inserted, updated, unchanged, digest } = await copyUpsert(client, table, rows, { sums: [] });
        return { counts: [inserted, updated, unchanged], digest };
      });
    const first = await load(['a', 'b', 'c']);
    await database.query(`UPDATE target SET missing_since = '2026-01-02' WHERE id <> 'b'`);
    assert.deepEqual((await load(['a', 'b'])).counts, [0, 1, 1]);
    const { rows } = await database.query(`SELECT id FROM target WHERE missing_since IS NOT NULL`);
    assert.deepEqual(rows, [{ id: 'c' }]);
    assert.deepEqual(await load(['a', 'b', 'c']), { counts: [0, 1, 2], digest: first.digest });
  });
}

test('no row at all is loaded without complaint', async () => {
  const database = await openDatabase();
  const { load } = await openTarget(database, { id: 'text', amount: 'numeric' });
  const result = await load([], { sums: [{ column: 'amount' }] });
  assert.deepEqual(
    { ...result, digest: '' },
    { inserted: 0, updated: 0, unchanged: 0, rejected: [], digest: '', totals: [], stored: [] },
  );
});

test('columns without an equality operator are compared too', async () => {
  const database = await openDatabase();
  const { load } = await openTarget(database, { id: 'text', data: 'json', at: 'point', area: 'box', doc: 'xml' });
  const row: Row = ['a', '{"x": 1}', '(1,2)', '(0,0),(2,2)', '<a/>'];
  await load([row]);
  assert.equal((await load([row])).unchanged, 1);
  for (const [index, text] of [
    [1, '{"x":1}'],
    [2, '(1,3)'],
    [3, '(0,0),(1,4)'],
    [4, '<b/>'],
  ] as const) {
    assert.equal((await load([row.with(index, text)])).updated, 1, text);
    await load([row]);
  }
});

test('rows move into the partitions of a partitioned table and are counted', async () => {
  const database = await openDatabase();
  await database.query(`
    CREATE TABLE target (id int, amount int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
    CREATE TABLE low PARTITION OF target FOR VALUES FROM (0) TO (100);
    CREATE TABLE high PARTITION OF target FOR VALUES FROM (100) TO (200)`);
  const { load } = await openTarget(database, { id: 'int', amount: 'int' });
  await load([
    ['1', '1'],
    ['101', '1'],
    ['102', '1'],
  ]);
  const result = await load([
    ['1', '2'],
    ['2', '1'],
    ['101', '1'],
    ['102', '2'],
    ['999', '1'],
  ]);
  assert.deepEqual([result.inserted, result.updated, result.unchanged], [1, 2, 1]);
  assert.deepEqual(
    result.rejected.map(({ row, code }) => [row, code]),
    [[4, 'PG_23514']],
  );
});
