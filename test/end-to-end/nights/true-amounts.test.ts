import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { test } from 'node:test';
import type { Report } from '../../../src/report/schema.ts';
import { failed, keys, nights, plain } from '../../support/changing-nights.ts';
import { listAndLookUp, scriptedNight } from '../../support/scripted-job.ts';

test('amounts are read as Postgres reads them, whoever is asked', async (t) => {
  const source = plain(6);
  Object.assign(source.details, {
    c1: { id: 'c1', amount: ' 12.50 ', currency: 'EUR' },
    c2: { id: 'c2', amount: 'NaN', currency: 'EUR' },
    c3: { id: 'c3', amount: '500000.005', currency: 'EUR' },
    c4: { id: 'c4', amount: '1.00', currency: 'EU ' },
    c5: { id: 'c5', amount: '2.00', currency: 'EU' },
    c6: { id: 'c6', amount: '-Infinity', currency: 'EUR' },
  });
  const { run } = await nights(t, source);
  const report = await run('2026-01-01', 3);
  assert.deepEqual(
    report.amounts.map(({ currency, loaded, failed: lost, variance, unknown }) => [
      currency,
      loaded,
      lost,
      variance,
      unknown,
    ]),
    [
      ['EU', '3.00', '0.00', '0.00', { failed: 0, notStarted: 0 }],
      // NaN has no sum, so that the two contracts that came with one are of unknown amount.
      ['EUR', '12.500', '500000.005', '0.000', { failed: 2, notStarted: 0 }],
    ],
  );
  assert.deepEqual(
    report.failures.map(({ key, code, amount }) => [key, code, amount]),
    [
      ['c2', 'AMOUNT_NOT_FINITE', undefined],
      ['c3', 'VALUE_LOSES_DIGITS', '500000.005'],
      ['c6', 'AMOUNT_NOT_FINITE', undefined],
    ],
  );
  assert.deepEqual(failed(report), []);
});

test('an amount that nobody said is unknown and never 0.00, per currency, failed or not started', async (t) => {
  const source = plain(6);
  source.listed = keys(6).map((id) => ({ id, currency: 'EUR', money: { total: '7.00' } }));
  delete (source.listed[0] as { money?: object }).money;
  for (const id of ['c1', 'c2']) delete source.details[id];
  const columns = {
    id: { from: 'contract.id', type: 'text' },
    currency: { from: 'contract.currency', type: 'char(3)' },
    amount: { from: 'contract.amount', type: 'numeric(12,2)' },
  };
  const without = await nights(t, source, { load: { table: 'contracts', key: ['id'], columns } });
  const ended = await without.call('run', '--date', '2026-01-01');
  assert.equal(ended.exitCode, 3);
  assert.match(ended.stdout, /amount EUR {2}40\.00 loaded {2}unknown amount of 2 contracts failed/);
  const listed = { ...columns, amount: { ...columns.amount, listed: 'money.total' } };
  const told = await nights(t, source, { load: { table: 'contracts', key: ['id'], columns: listed } });
  const report = await told.run('2026-01-01', 3);
  assert.deepEqual(report.amounts, [
    {
      column: 'amount',
      currency: 'EUR',
      listed: '47.00',
      loaded: '40.00',
      failed: '7.00',
      notStarted: '0.00',
      variance: '0.00',
      unknown: { failed: 1, notStarted: 0 },
    },
  ]);
});

test('of contracts not started the listing tells the amount, or nobody does', async (t) => {
  const { server, night } = await scriptedNight(t, {
    script: () => undefined,
    job: { chunk: { size: 5 }, api: { limits: { concurrency: 1 } } },
  });
  night.environment['NIGHTFILL_LOG_LEVEL'] = 'error';
  const amounts = ['1.00', '2.00', '0', '0', '0', 'plenty', ' 4.00 ', '0', '0', '0'];
  const records = amounts.map((amount, index) => ({ id: `c${index + 1}`, amount, currency: 'EU ' }));
  const answer = listAndLookUp(records, (id) => records.find((one) => one.id === id));
  // The whole second chunk is refused, so the credentials are, and the night ends before it is stored.
  server.answerWith(async (request) => {
    if (!/c([6-9]|10)/.test(request.url)) return answer(request);
    // Not before the first chunk is loaded: without one it would be no night at all.
    while ((await night.query(`SELECT FROM nightfill.chunk WHERE status = 'succeeded'`)).length === 0) await delay(10);
    return { status: 401, json: {} };
  });
  const ended = await night.nightfill('run', 'job.yaml', '--report', 'report.json');
  assert.equal(ended.exitCode, 1, ended.stdout);
  assert.match(ended.stdout, /3\.00 loaded .* 4\.00 \+ unknown amount of 1 contract not started/);
  const report = await night.report('report.json');
  assert.deepEqual(
    report.amounts.map(({ currency, listed, loaded, notStarted, unknown }) => [
      currency,
      listed,
      loaded,
      notStarted,
      unknown,
    ]),
    [['EU', '7.00', '3.00', '4.00', { failed: 0, notStarted: 1 }]],
  );
});

test('currencies that a collation of the target takes for equal are summed apart on both sides', async (t) => {
  const source = plain(2);
  source.details['c2'] = { id: 'c2', amount: '10.00', currency: 'eur' };
  const { night, run } = await nights(t, source);
  await night.query(`CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`);
  await night.query(
    `CREATE TABLE contracts (id text PRIMARY KEY, name text, currency char(3) COLLATE nocase, amount numeric(14,4))`,
  );
  const { amounts } = await run('2026-01-01');
  assert.deepEqual(
    amounts.map(({ currency, loaded }) => [currency, Number(loaded)]),
    [
      ['EUR', 10],
      ['eur', 10],
    ],
  );
});

test('an amount that comes as null is the listing’s where the column names it there', async (t) => {
  const source = plain(2);
  source.details['c1'] = { id: 'c1', amount: null, currency: 'EUR' };
  const columns = {
    id: { from: 'contract.id', type: 'text' },
    currency: { from: 'contract.currency', type: 'char(3)' },
    amount: { from: 'contract.amount', type: 'numeric(12,2)', listed: 'amount' },
  };
  const { run } = await nights(t, source, { load: { table: 'contracts', key: ['id'], columns } });
  assert.deepEqual(failed(await run('2026-01-01', 4)), ['variance 0 10.00']);
});

test('a control may tolerate a difference, absolute or as a share, or only warn', async (t) => {
  const rounding = async (control: object, expected: number): Promise<Report> => {
    const { night, run } = await nights(t, plain(4), { controls: [{ sum: 'amount', by: 'currency', ...control }] });
    await night.query(
      `CREATE TABLE contracts (id text PRIMARY KEY, name text, currency char(3), amount numeric(12,2));
       CREATE FUNCTION dear() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.amount := new.amount + 0.01; RETURN new; END $$;
       CREATE TRIGGER dear BEFORE INSERT OR UPDATE ON contracts FOR EACH ROW EXECUTE FUNCTION dear()`,
    );
    return run('2026-01-01', expected);
  };
  assert.equal(failed(await rounding({ tolerance: 0.03 }, 4)).length, 2);
  assert.deepEqual(failed(await rounding({ tolerance: 0.04 }, 0)), []);
  assert.deepEqual(failed(await rounding({ tolerance: '0.1%' }, 0)), []);
  const warned = await rounding({ severity: 'warn' }, 0);
  assert.deepEqual([warned.run.status, failed(warned).length], ['succeeded', 2]);
});
