import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { columnText } from '../../../src/sinks/target/column-value.ts';
import type { JsonValue } from '../../../src/sinks/target/column-value.ts';
import { copyUpsert } from '../../../src/sinks/target/copy-upsert.ts';
import type { Row } from '../../../src/sinks/target/copy-upsert.ts';
import { prepareTarget } from '../../../src/sinks/target/target-table.ts';
import { createDatabase } from '../../support/database.ts';
import { connect as connectTo, declare, openDatabase, openTarget } from '../../support/load-fixture.ts';
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
    const { rejected, held, totals } = await load([
      ['c7', amount],
      ['x', amount],
      ['C7', amount],
    ]);
    assert.deepEqual(
      rejected.map(({ row, code }) => [row, code]),
      [[2, 'DUPLICATE_KEY']],
    );
    assert.deepEqual(
      held.map(({ row }) => row),
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

test('many loads in one transaction hold no more locks than one', async () => {
  const database = await openDatabase();
  const { table } = await openTarget(database, { id: 'text', amount: 'int' });
  const locks: string[] = [];
  await database.withTransaction(async (client) => {
    for (const amount of ['1', '2', '3', '4']) {
      // A refused value each time, so that the slow way is gone as well.
      const { rejected } = await copyUpsert(
        client,
        table,
        [
          ['a', amount],
          ['b', 'none'],
        ],
        { sums: [] },
      );
      assert.equal(rejected.length, 1);
      const { rows } = await client.query<{ held: string }>(
        'SELECT count(*)::text AS held FROM pg_locks WHERE pid = pg_backend_pid()',
      );
      locks.push(rows[0]!.held);
    }
  });
  assert.deepEqual(locks.slice(2), [locks[1], locks[1]]);
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

test('no row at all is loaded without complaint', async () => {
  const database = await openDatabase();
  const { load } = await openTarget(database, { id: 'text', amount: 'numeric' });
  const result = await load([], { sums: [{ column: 'amount' }] });
  assert.deepEqual(
    { ...result, digest: '' },
    { inserted: 0, updated: 0, unchanged: 0, rejected: [], digest: '', totals: [], held: [] },
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

test('what a trigger does to the money is visible: sourced and loaded differ', async () => {
  const database = await openDatabase();
  await database.query(`
    CREATE TABLE target (id text PRIMARY KEY, currency char(3), amount numeric(18,2));
    CREATE FUNCTION halve() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF NEW.id = 'refused' THEN RAISE EXCEPTION 'not today'; END IF;
      IF NEW.id = 'skipped' THEN RETURN NULL; END IF;
      NEW.amount := NEW.amount / 2; RETURN NEW; END $$;
    CREATE TRIGGER halve BEFORE INSERT ON target FOR EACH ROW EXECUTE FUNCTION halve()`);
  const { load } = await openTarget(database, { id: 'text', currency: 'char(3)', amount: 'numeric(18,2)' });
  const sums = [{ column: 'amount', by: 'currency' }];
  const rows: Row[] = [
    ['a', 'EUR', '10.1'],
    ['b', 'EUR', '0.1'],
    ['c', 'USD', '8'],
    ['refused', 'USD', '1'],
    ['skipped', 'USD', '5'],
  ];
  const { inserted, unchanged, rejected, totals } = await load(rows, { sums });
  assert.deepEqual([inserted, unchanged], [3, 0]);
  assert.deepEqual(totals, [
    { column: 'amount', by: 'EUR', rows: 2, sourced: '10.20', loaded: '5.10', altered: 2 },
    { column: 'amount', by: 'USD', rows: 1, sourced: '8.00', loaded: '4.00', altered: 1 },
  ]);
  assert.deepEqual(
    rejected.map(({ row, code }) => [row, code]),
    [
      [3, 'PG_P0001'],
      [4, 'NOT_STORED'],
    ],
  );
});

test('sums are exact, by group or in all, and hold what no float could', async () => {
  const database = await openDatabase();
  const { load } = await openTarget(database, {
    id: 'text',
    currency: 'text',
    amount: 'numeric(38,4)',
    units: 'bigint',
  });
  const sums = [{ column: 'amount', by: 'currency' }, { column: 'units' }];
  const { totals } = await load(
    [
      ['a', 'EUR', '9007199254740993.0001', '9223372036854775807'],
      ['b', 'EUR', '0.0002', '1'],
      ['c', null, '5', null],
      ['d', 'ÄÖ', null, null],
    ],
    { sums },
  );
  assert.deepEqual(totals, [
    {
      column: 'amount',
      by: 'EUR',
      rows: 2,
      sourced: '9007199254740993.0003',
      loaded: '9007199254740993.0003',
      altered: 0,
    },
    { column: 'amount', by: 'ÄÖ', rows: 1, sourced: '0', loaded: '0', altered: 0 },
    { column: 'amount', by: null, rows: 1, sourced: '5.0000', loaded: '5.0000', altered: 0 },
    { column: 'units', by: null, rows: 4, sourced: '9223372036854775808', loaded: '9223372036854775808', altered: 0 },
  ]);
});

test('NaN and infinite amounts are summed without a crash', async () => {
  const database = await openDatabase();
  const { load } = await openTarget(database, { id: 'text', amount: 'numeric', ratio: 'float8' });
  const sums = [{ column: 'amount' }, { column: 'ratio' }];
  const { totals } = await load(
    [
      ['a', 'NaN', 'Infinity'],
      ['b', 'Infinity', '1'],
      ['c', '1', '0.1'],
    ],
    { sums },
  );
  assert.deepEqual(
    totals.map(({ sourced, loaded }) => [sourced, loaded]),
    [
      ['NaN', 'NaN'],
      ['Infinity', 'Infinity'],
    ],
  );
});

test('a sum over a column that is no number is a usage error', async () => {
  const database = await openDatabase();
  const { load } = await openTarget(database, { id: 'text', at: 'date' });
  await assert.rejects(load([['a', null]], { sums: [{ column: 'at' }] }), { code: 'SUM_NOT_NUMERIC' });
});

test('the digest depends on the rows in the target and not on their order', async () => {
  const database = await openDatabase();
  const { load } = await openTarget(database, { id: 'int', note: 'text' });
  const rows: Row[] = [
    ['1', 'a'],
    ['2', null],
    ['10', ''],
  ];
  const { digest } = await load(rows);
  assert.match(digest, /^[0-9a-f]{64}$/);
  assert.equal((await load(rows.toReversed())).digest, digest);
  assert.notEqual(
    (
      await load([
        ['1', 'a'],
        ['2', ''],
        ['10', ''],
      ])
    ).digest,
    digest,
  );
});

test('the digest is the SHA-256 of the row digests in key order', async () => {
  const database = await openDatabase();
  const { load } = await openTarget(database, { id: 'text', amount: 'numeric(18,2)' });
  // sha256(sha256('(B,1.00)') || sha256('(a,)')), from sha256sum
  const { digest } = await load([
    ['a', null],
    ['B', '1'],
  ]);
  const { createHash } = await import('node:crypto');
  const hash = (data: string | Buffer): Buffer => createHash('sha256').update(data).digest();
  assert.equal(digest, hash(Buffer.concat([hash('(B,1.00)'), hash('(a,)')])).toString('hex'));
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

test('several loads fit into one transaction, and nothing stays when it rolls back', async () => {
  const database = await openDatabase();
  const { table } = await openTarget(database, { id: 'text', amount: 'int' });
  const undone = new Error('undone');
  const work = database.withTransaction(async (client) => {
    assert.equal((await copyUpsert(client, table, [['a', '1']], { sums: [] })).inserted, 1);
    assert.equal(
      (
        await copyUpsert(
          client,
          table,
          [
            ['b', 'x'],
            ['a', '1'],
          ],
          { sums: [] },
        )
      ).unchanged,
      1,
    );
    throw undone;
  });
  await assert.rejects(work, undone);
  assert.equal((await database.query('SELECT FROM target')).rowCount, 0);
  assert.equal((await database.query(`SELECT FROM pg_class WHERE relname LIKE 'nightfill%'`)).rowCount, 0);
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

test('aborting during COPY throws the reason, and the client can roll back and go on', async () => {
  const database = await openDatabase();
  const { load } = await openTarget(database, { id: 'text', note: 'text' });
  const controller = new AbortController();
  const reason = new Error('deadline');
  const rows: Row[] = Array.from({ length: 20_000 }, (_, index) => [`${index}`, 'x'.repeat(200)]);
  // Every value is read twice: before the COPY to be checked, in the middle of it to be encoded.
  let reads = 0;
  const middle = ['10000', 'x'];
  Object.defineProperty(middle, 1, {
    get: () => {
      if (++reads === 2) controller.abort(reason);
      return 'x';
    },
  });
  rows[10_000] = middle;
  let lastReads = 0;
  const last = ['19999', 'x'];
  Object.defineProperty(last, 1, { get: () => String(++lastReads) });
  rows[19_999] = last;
  const loading = load(rows, { signal: controller.signal });
  await assert.rejects(loading, (error) => error === reason);
  assert.deepEqual([reads, lastReads], [2, 1], 'the COPY was cut short');
  assert.equal((await load([['a', 'b']])).inserted, 1);
});

test('two loads of the same rows in opposite orders wait for one another and do not deadlock', async (t) => {
  const { url } = await createDatabase(t, { template: 'empty' });
  const [one, other] = [await connectTo(t, url), await connectTo(t, url)];
  const columns = { id: 'int', amount: 'int' };
  const [first, second] = [await openTarget(one, columns), await openTarget(other, columns)];
  const rows: Row[] = Array.from({ length: 3000 }, (_, index) => [`${index}`, '0']);
  await first.load(rows);
  for (const amount of ['1', '2', '3']) {
    const given = rows.map(([id]): Row => [id ?? null, amount]);
    const results = await Promise.all([first.load(given), second.load(given.toReversed())]);
    // Whoever waited finds the rows as they should be.
    assert.deepEqual(
      results.map(({ updated }) => updated).toSorted((a, b) => a - b),
      [0, 3000],
    );
  }
});

test('a deadlock or a serialization failure is thrown, never blamed on a row', async () => {
  const database = await openDatabase();
  await database.query(`
    CREATE TABLE target (id text PRIMARY KEY, state text);
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      RAISE EXCEPTION 'as if' USING ERRCODE = NEW.state; END $$;
    CREATE TRIGGER fail BEFORE INSERT ON target FOR EACH ROW EXECUTE FUNCTION fail()`);
  const { load } = await openTarget(database, { id: 'text', state: 'text' });
  for (const code of ['40001', '40P01', '57014', '55P03', '53300', '57P01', '42501']) {
    await assert.rejects(load([['a', code]]), { code: `PG_${code}` });
  }
});

test('a connection that dies in the middle of COPY surfaces as an error, and the process lives', async (t) => {
  const { url, database: pool } = await createDatabase(t, { template: 'empty' });
  const direct = await connectTo(t, url);
  const { table } = await openTarget(direct, { id: 'text', note: 'text' });
  const server = new URL(url);
  // A proxy that drops both ends once a good part of the COPY went through.
  let sent = 0;
  const sockets = new Set<Socket>();
  const proxy = createServer((near) => {
    const far = connect(Number(server.port), server.hostname);
    for (const socket of [near, far]) sockets.add(socket.on('error', () => {}));
    near.on('data', (data) => {
      sent += data.length;
      if (sent > 500_000) for (const socket of sockets) socket.destroy();
      else far.write(data);
    });
    far.pipe(near);
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  t.after(() => proxy.close());
  const through = new URL(url);
  through.port = String((proxy.address() as AddressInfo).port);
  const database = await connectTo(t, through.href);
  const rows: Row[] = Array.from({ length: 20_000 }, (_, index) => [`${index}`, 'x'.repeat(200)]);
  await assert.rejects(
    database.withTransaction(async (client) => copyUpsert(client, table, rows, { sums: [] })),
    { code: 'PG_CONNECTION', class: 'transient' },
  );
  assert.equal((await pool.query('SELECT FROM target')).rowCount, 0);
});
