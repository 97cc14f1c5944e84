import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Row } from '../../../src/sinks/target/copy-upsert.ts';
import { openDatabase, openTarget } from '../../support/load-fixture.ts';

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
