import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, test, type TestContext } from 'node:test';
import type { Report } from '../../../src/report/schema.ts';
import { until, type Night } from '../../support/night.ts';
import { listAndLookUp, scriptedNight, type scriptedJob } from '../../support/scripted-job.ts';

type Listed = Record<string, unknown>;
type Ended = Awaited<ReturnType<Night['nightfill']>>;

interface Source {
  listed: Listed[];
  /** What a detail answers; what it does not have is 404. */
  details: Record<string, object | (() => Promise<object>)>;
}

interface Nights {
  night: Night;
  source: Source;
  /** Runs a command of this process to its end. */
  call: (command: string, ...options: string[]) => Promise<Ended>;
  run: (date: string, expected?: number, ...options: string[]) => Promise<Report>;
  rerun: (expected?: number, ...options: string[]) => Promise<Report>;
}

/** Nights against a source whose listing and details a test changes from night to night. */
async function nights(t: TestContext, source: Source, job: Parameters<typeof scriptedJob>[1] = {}): Promise<Nights> {
  const { night } = await scriptedNight(t, {
    script: async (request) => {
      const key = /^\/contracts\/([^?]+)/.exec(request.url)?.[1] ?? '';
      const detail = source.details[key];
      const answer = typeof detail === 'function' ? await detail() : detail;
      return listAndLookUp(source.listed, () => answer)(request);
    },
    job: { chunk: { size: 2 }, ...job },
  });
  night.environment['NIGHTFILL_LOG_LEVEL'] = 'error';
  const [file, path] = ['job.yaml', 'report.json'];
  const call: Nights['call'] = async (command, ...options) =>
    night.nightfill(command, ...(command === 'run' ? [file] : []), '--report', path, ...options);
  const ending = async (ended: Ended, expected: number): Promise<Report> => {
    assert.equal(ended.exitCode, expected, ended.stdout + ended.stderr);
    return night.report('report.json');
  };
  return {
    night,
    source,
    call,
    run: async (date, expected = 0, ...options) => ending(await call('run', '--date', date, ...options), expected),
    rerun: async (expected = 0, ...options) => ending(await call('rerun', ...options), expected),
  };
}

const keys = (count: number): string[] => Array.from({ length: count }, (_, index) => `c${index + 1}`);
const plain = (count: number): Source => ({
  listed: keys(count).map((id) => ({ id, amount: '10.00', currency: 'EUR' })),
  details: Object.fromEntries(keys(count).map((id) => [id, { id, amount: '10.00', currency: 'EUR' }])),
});

const failed = ({ controls }: Report): string[] =>
  controls
    .filter(({ result }) => result === 'fail')
    .map(({ type, expected, actual }) => `${type} ${expected} ${actual}`);

const stored = async (night: Night): Promise<unknown[]> =>
  (await night.query<{ row: string }>(`SELECT id || ' ' || amount AS row FROM contracts ORDER BY id`)).map(
    ({ row }) => row,
  );

describe('two contracts with one load key', { concurrency: 2 }, () => {
  const twice = (): Source => {
    const source = plain(5);
    source.details['c4'] = { id: 'c1', amount: '99.00', currency: 'EUR' };
    return source;
  };

  for (const commit of ['chunk', 'run']) {
    test(`in different chunks of commit: ${commit} the one loaded later fails and names the other`, async (t) => {
      const source = twice();
      const late = source.details['c4']!;
      const { night, run } = await nights(t, source, {
        commit,
        controls: [{ sum: 'amount', by: 'currency' }, { completeness: '80%' }],
      });
      source.details['c4'] = async () => {
        const first = `SELECT FROM nightfill.chunk WHERE number = 1 AND status <> 'not-started'`;
        await until(async () => (await night.query(first)).length === 1, new Promise(() => {}));
        return late;
      };
      const { counts, failures, amounts } = await run('2026-01-01', 3);
      assert.deepEqual([counts.enriched, counts.failed, counts.inserted], [4, 1, 4]);
      assert.deepEqual(
        failures.map(({ key, code, stage }) => [key, code, stage]),
        [['c4', 'DUPLICATE_KEY', 'load']],
      );
      assert.match(failures[0]!.message, /^contract c1 of chunk 1 has the same load key \["c1"\]/);
      assert.deepEqual(await stored(night), ['c1 10.00', 'c2 10.00', 'c3 10.00', 'c5 10.00']);
      assert.deepEqual([amounts[0]!.loaded, amounts[0]!.failed, amounts[0]!.variance], ['40.00', '99.00', '0.00']);
    });
  }

  test('in one chunk, where the collation of the key takes them for equal', async (t) => {
    const source = plain(2);
    source.details['c2'] = { id: 'C1', amount: '99.00', currency: 'EUR' };
    const { night, run } = await nights(t, source, {});
    await night.query(`CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`);
    await night.query(
      `CREATE TABLE contracts (id text COLLATE nocase PRIMARY KEY, name text, currency char(3), amount numeric(12,2))`,
    );
    const { failures, amounts } = await run('2026-01-01', 3);
    assert.deepEqual(
      failures.map(({ key, code }) => [key, code]),
      [['c2', 'DUPLICATE_KEY']],
    );
    assert.deepEqual(await stored(night), ['c1 10.00']);
    assert.deepEqual([amounts[0]!.loaded, amounts[0]!.failed], ['10.00', '99.00']);
  });

  test('an earlier and a later attempt: what was loaded stays', async (t) => {
    const source = twice();
    const late = source.details['c1']!;
    delete source.details['c1'];
    const { night, run, rerun } = await nights(t, source);
    await run('2026-01-01', 3);
    source.details['c1'] = late;
    const { failures, counts } = await rerun(3);
    assert.deepEqual(
      failures.map(({ key, code }) => [key, code]),
      [['c1', 'DUPLICATE_KEY']],
    );
    assert.match(failures[0]!.message, /^contract c4 of chunk 2 /);
    assert.equal(counts.enriched, 4);
    assert.deepEqual(await stored(night), ['c1 99.00', 'c2 10.00', 'c3 10.00', 'c5 10.00']);
    // Once the source is mended each has a row of its own.
    source.details['c4'] = { id: 'c4', amount: '10.00', currency: 'EUR' };
    await rerun(3, '--whole-chunks', '--chunk', '2');
    const mended = await rerun();
    assert.deepEqual([mended.counts.enriched, mended.counts.failed], [5, 0]);
    assert.deepEqual((await stored(night)).slice(0, 2), ['c1 10.00', 'c2 10.00']);
  });
});

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

describe('what the target holds when the night is closed', { concurrency: 2 }, () => {
  for (const commit of ['chunk', 'run'])
    test(`is looked at again, with commit: ${commit}: rows of earlier chunks may be gone or changed`, async (t) => {
      const { night, run } = await nights(t, plain(6), { commit, api: { limits: { concurrency: 1 } } });
      await night.query(`CREATE TABLE contracts (id text PRIMARY KEY, name text, currency char(3), amount numeric(12,2));
        CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          IF new.id = 'c5' THEN DELETE FROM contracts WHERE id = 'c1'; UPDATE contracts SET amount = 11 WHERE id = 'c2'; END IF;
          RETURN NULL; END $$;
        CREATE TRIGGER later AFTER INSERT ON contracts FOR EACH ROW EXECUTE FUNCTION later()`);
      assert.deepEqual(failed(await run('2026-01-01', 4)), ['keys 6 5', 'sum 60.00 51.00']);
    });

  test('is looked at again by a rerun the morning after', async (t) => {
    const source = plain(4);
    const detail = source.details['c4']!;
    delete source.details['c4'];
    const { night, run, rerun } = await nights(t, source);
    await run('2026-01-01', 3);
    await night.query(`DELETE FROM contracts WHERE id = 'c1'`);
    source.details['c4'] = detail;
    assert.deepEqual(failed(await rerun(4)), ['keys 4 3', 'sum 40.00 30.00']);
  });

  test('is not held against an older night that newer rows cover', async (t) => {
    const source = plain(4);
    delete source.details['c4'];
    const { run, rerun } = await nights(t, source);
    const monday = await run('2026-01-05', 3);
    source.details['c1'] = { id: 'c1', amount: '99.00', currency: 'EUR' };
    await run('2026-01-06', 3);
    const late = await rerun(3, monday.run.id, '--over-newer');
    assert.deepEqual(failed(late), []);
  });

  test('must be each amount as it was sent, also where differences make up for one another', async (t) => {
    const { night, run } = await nights(t, plain(2));
    await night.query(`CREATE TABLE contracts (id text PRIMARY KEY, name text, currency char(3), amount numeric(12,2));
      CREATE FUNCTION swap() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN new.amount := new.amount + CASE new.id WHEN 'c1' THEN 5 ELSE -5 END; RETURN new; END $$;
      CREATE TRIGGER swap BEFORE INSERT ON contracts FOR EACH ROW EXECUTE FUNCTION swap()`);
    const report = await run('2026-01-01', 4);
    assert.deepEqual(failed(report), ['sum 20.00 20.00']);
    assert.match(report.controls.find(({ result }) => result === 'fail')!.name, /altered in 2 of its contracts/);
  });
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

test('a transform is held against what came before it', async (t) => {
  const source = plain(3);
  const columns = {
    id: { type: 'text' },
    currency: { type: 'char(3)', listed: 'currency' },
    amount: { type: 'numeric(12,2)', listed: 'amount' },
  };
  const { night, run } = await nights(t, source, {
    load: { table: 'contracts', key: ['id'], columns },
    transform: './one.mjs',
  });
  await night.write('one.mjs', `export default ({ contract }) => ({ ...contract, amount: '1.00' });`);
  const report = await run('2026-01-01', 4);
  assert.deepEqual(failed(report), ['sum 30.00 3.00', 'variance 0 27.00']);
  assert.deepEqual([report.amounts[0]!.listed, report.amounts[0]!.loaded], ['30.00', '3.00']);

  // Without a word of what came before, nothing is compared, and nothing passes.
  const blind = { id: { type: 'text' }, currency: { type: 'char(3)' }, amount: { type: 'numeric(12,2)' } };
  const other = await nights(t, source, {
    load: { table: 'contracts', key: ['id'], columns: blind },
    transform: './one.mjs',
  });
  await other.night.write('one.mjs', `export default ({ contract }) => ({ ...contract, amount: '1.00' });`);
  const { controls } = await other.run('2026-01-01');
  for (const { type, name, result } of controls)
    if (type === 'variance' || name.endsWith('source against target')) assert.equal(result, 'not-evaluated', name);
});

test('what the target refuses at the switch is charged to the attempt that fetched it', async (t) => {
  const source = plain(4);
  delete source.details['c4'];
  const { night, run, rerun } = await nights(t, source, { commit: 'run' });
  await run('2026-01-01', 3);
  await night.query(
    `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN IF new.id <> 'c4' THEN RAISE check_violation USING MESSAGE = 'not today'; END IF; RETURN new; END $$;
     CREATE TRIGGER refuse BEFORE INSERT ON contracts FOR EACH ROW EXECUTE FUNCTION refuse()`,
  );
  source.details['c4'] = { id: 'c4', amount: '10.00', currency: 'EUR' };
  const { attempts, counts } = await rerun(3);
  assert.deepEqual(
    attempts.map(({ contracts, loaded }) => [contracts, loaded]),
    [
      [4, 0],
      [1, 1],
    ],
  );
  assert.deepEqual([counts.enriched, counts.failed, counts.staged], [1, 3, 1]);
});
