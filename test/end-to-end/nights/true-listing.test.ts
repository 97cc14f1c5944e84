import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Report } from '../../../src/report/schema.ts';
import { failed, keys, nights, plain } from '../../support/changing-nights.ts';
import { scriptedNight } from '../../support/scripted-job.ts';

describe('a listing', { concurrency: 2 }, () => {
  test('that is empty fails, on the first night and on any other', async (t) => {
    const { source, run } = await nights(t, { listed: [], details: {} }, { controls: [{ completeness: '100%' }] });
    assert.deepEqual(failed(await run('2026-01-01', 4)), ['listed 1 0']);
    Object.assign(source, plain(4));
    await run('2026-01-02', 4);
    source.listed = [];
    assert.deepEqual(failed(await run('2026-01-03', 4)), ['listed 4 0']);
  });

  test('that has lost half of its contracts fails, whatever became of the night before, unless any number will do', async (t) => {
    const source = plain(6);
    delete source.details['c6'];
    const { night, run } = await nights(t, source);
    await run('2026-01-01', 3);
    source.listed = source.listed.slice(0, 4);
    const mild = await run('2026-01-02');
    assert.deepEqual([mild.previous?.status, mild.counts.missing], ['partial', 2]);
    source.listed = source.listed.slice(0, 2);
    assert.deepEqual(failed(await run('2026-01-03', 4)), ['listed 4 2']);
    const job = JSON.parse(await night.read('job.yaml')) as { controls: object[] };
    await night.write('job.yaml', { ...job, controls: [...job.controls, { listed: 'any' }] });
    await run('2026-01-03', 0, '--again');
    // A sample is compared with nothing.
    const sample = await run('2026-01-04', 0, '--limit', '1');
    assert.equal(sample.previous, null);
    assert.equal(sample.counts.missing, 0);
  });
});

test('nights are compared whatever their status, and only what is not listed is removed', async (t) => {
  const source = plain(6);
  const { run } = await nights(t, source, {
    controls: [
      { sum: 'amount', by: 'currency' },
      { sum: 'amount', by: 'currency', change: '25%', severity: 'warn' },
    ],
  });
  await run('2026-01-01');
  // c1 is gone, c2 fails without a word about its amount, c3 changes its currency, c4 its amount, c7 is new.
  source.listed = ['c2', 'c3', 'c4', 'c5', 'c6', 'c7'].map((id) => ({ id }));
  delete source.details['c2'];
  source.details['c3'] = { id: 'c3', amount: '10.00', currency: 'USD' };
  source.details['c4'] = { id: 'c4', amount: '14.50', currency: 'EUR' };
  source.details['c7'] = { id: 'c7', amount: '1.00', currency: 'EUR' };
  const report = await run('2026-01-02', 3);
  assert.deepEqual(report.previous?.changes, [
    {
      column: 'amount',
      currency: 'EUR',
      added: '1.00',
      removed: '10.00',
      changed: '-5.50',
      before: '60.00',
      after: '35.50',
    },
    {
      column: 'amount',
      currency: 'USD',
      added: '0.00',
      removed: '0.00',
      changed: '10.00',
      before: '0.00',
      after: '10.00',
    },
  ]);
  assert.deepEqual(report.previous?.notComparable, [
    { column: 'amount', currency: 'EUR', contracts: 1, before: '10.00', after: '0.00' },
  ]);
  assert.equal(report.counts.missing, 1);
  assert.deepEqual(
    report.controls
      .filter(({ type }) => type === 'change')
      .map(({ currency, result, severity }) => [currency, result, severity]),
    [
      ['EUR', 'fail', 'warn'],
      ['USD', 'fail', 'warn'],
    ],
  );
  // The night after one that failed in part is compared with that one.
  const third = await run('2026-01-03', 3);
  assert.deepEqual([third.previous?.businessDate, third.previous?.status], ['2026-01-02', 'partial']);
});

test('a night whose controls failed stays one: called again it says which, and exits with 4', async (t) => {
  const { night, call, run } = await nights(t, plain(4), {});
  await night.query(`CREATE TABLE contracts (id text PRIMARY KEY, name text, currency char(3), amount numeric(12,2))`);
  await night.query(
    `CREATE FUNCTION dear() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.amount := new.amount + 1; RETURN new; END $$`,
  );
  await night.query(`CREATE TRIGGER dear BEFORE INSERT OR UPDATE ON contracts FOR EACH ROW EXECUTE FUNCTION dear()`);
  assert.deepEqual(failed(await run('2026-01-01', 4)), ['sum 40.00 44.00', 'variance 0 -4.00']);
  for (const again of [await call('run', '--date', '2026-01-01'), await call('rerun')]) {
    assert.equal(again.exitCode, 4, again.stderr);
    assert.match(again.stdout, /nothing to do/);
    assert.match(
      again.stdout,
      /CONTROL FAILED {2}sum of amount: source against target \(EUR\): expected 40\.00, found 44\.00/,
    );
  }
  const json = await call('run', '--date', '2026-01-01', '--json');
  const { exitCode, controls } = JSON.parse(json.stdout) as { exitCode: number; controls: Report['controls'] };
  assert.deepEqual([exitCode, controls.map(({ type }) => type)], [4, ['sum', 'variance']]);
});

test("the source's own count proves nothing when it is not given, changes, or counts records that came twice", async (t) => {
  const source = { total: [4] as (number | null)[], ids: keys(4) };
  const { server, night } = await scriptedNight(t, {
    script: () => undefined,
    job: {
      lookups: {},
      contracts: { total: 'total', paginate: { type: 'offset', param: 'skip', limit: 2 } },
      load: { table: 'contracts', key: ['id'], columns: { id: { from: 'listed.id', type: 'text' } } },
      controls: [],
    },
  });
  server.answerWith(({ url }) => {
    const skip = Number(new URL(url, 'http://any').searchParams.get('skip') ?? 0);
    const total = source.total[skip / 2] ?? source.total[0];
    return { json: { data: source.ids.slice(skip, skip + 2).map((id) => ({ id })), total } };
  });
  let day = 0;
  const run = async (expected: number): Promise<Report> => {
    const [file, report] = ['job.yaml', 'report.json'];
    const ended = await night.nightfill('run', file, '--date', `2026-01-0${(day += 1)}`, '--report', report);
    assert.equal(ended.exitCode, expected, ended.stdout + ended.stderr);
    return night.report('report.json');
  };
  night.environment['NIGHTFILL_LOG_LEVEL'] = 'error';
  assert.deepEqual(failed(await run(0)), []);
  source.total = [null];
  assert.deepEqual(failed(await run(4)), ['count not given 4']);
  source.total = [4, 3, 4];
  assert.deepEqual(failed(await run(4)), ['count 4 4']);
  source.total = [4];
  source.ids = ['c1', 'c2', 'c2', 'c4'];
  const twice = await run(0);
  assert.deepEqual(failed(twice), ['count 0 1']);
  assert.equal(twice.controls.find(({ result }) => result === 'fail')?.severity, 'warn');
});

test('contracts that are gone when a listing that was cut off is begun again are told', async (t) => {
  const source = { ids: keys(4), broken: true };
  const { server, night } = await scriptedNight(t, {
    script: () => undefined,
    job: {
      lookups: {},
      chunk: { size: 2 },
      contracts: { paginate: { type: 'offset', param: 'skip', limit: 2 } },
      load: { table: 'contracts', key: ['id'], columns: { id: { from: 'listed.id', type: 'text' } } },
      controls: [],
    },
  });
  server.answerWith(({ url }) => {
    const skip = Number(new URL(url, 'http://any').searchParams.get('skip') ?? 0);
    if (skip > 0 && source.broken) return { status: 500, json: {} };
    return { json: { data: source.ids.slice(skip, skip + 2).map((id) => ({ id })) } };
  });
  night.environment['NIGHTFILL_LOG_LEVEL'] = 'error';
  const run = async () => night.nightfill('run', 'job.yaml', '--date', '2026-01-01', '--report', 'report.json');
  assert.equal((await run()).exitCode, 1);
  Object.assign(source, { broken: false, ids: ['c2', 'c3', 'c4'] });
  const ended = await run();
  assert.equal(ended.exitCode, 4, ended.stdout);
  assert.deepEqual(failed(await night.report('report.json')), ['count 0 1']);
});
