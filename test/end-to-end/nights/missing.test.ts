import { describe, test, type TestContext } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import pg from 'pg';
import { until, type Ended, type Night } from '../../support/night.ts';
import { scriptedNight } from '../../support/scripted-job.ts';
import type { Report } from '../../../src/report/schema.ts';
import type { ScriptedServer } from '../../support/scripted-server.ts';

const contracts = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => `c${String(from + index).padStart(2, '0')}`);

interface Source {
  /** On pages of six. */
  listed: string[];
  /** When not as many as are listed. */
  total?: number | null;
  /** Their lookup is answered with 404. */
  broken: Set<string>;
  /** The second page is answered with 500. */
  cutOff: boolean;
}

const columns = {
  id: { from: 'contract.id', type: 'text' },
  currency: { from: 'contract.currency', type: 'char(3)' },
  amount: { from: 'contract.amount', type: 'numeric(12,2)' },
};
const load = { table: 'contracts', key: ['id'], columns, missing: 'mark' };

/** A source whose listing changes from night to night, and a job that marks what is missing. */
async function markingJob(
  t: TestContext,
  job: object = {},
): Promise<{ source: Source; server: ScriptedServer; night: Night; run: Run }> {
  const source: Source = { listed: contracts(1, 10), broken: new Set(), cutOff: false };
  const { server, night } = await scriptedNight(t, {
    script({ url }) {
      const key = /^\/contracts\/(.+)/.exec(url)?.[1];
      if (key !== undefined)
        return source.broken.has(key)
          ? { status: 404, json: {} }
          : { json: { id: key, currency: key < 'c06' ? 'EUR' : 'USD', amount: '1.50' } };
      const first = Number(new URL(url, 'http://source').searchParams.get('skip') ?? 0);
      if (first > 0 && source.cutOff) return { status: 500, json: {} };
      const total = source.total === undefined ? source.listed.length : source.total;
      return { json: { data: source.listed.slice(first, first + 6).map((id) => ({ id })), meta: { total } } };
    },
    job: {
      contracts: { total: 'meta.total', paginate: { type: 'offset', param: 'skip', limit: 6 } },
      load,
      // How many there are is the subject here.
      controls: [{ sum: 'amount', by: 'currency' }, { listed: 'any' }],
      ...job,
    },
  });
  night.environment['NIGHTFILL_LOG_LEVEL'] = 'error';
  const [file, report] = ['job.yaml', 'report.json'];
  const run: Run = async (date, options, expected = 0) => {
    const ended = await night.nightfill('run', file, '--date', date, '--report', report, ...(options ?? []));
    assert.equal(ended.exitCode, expected, ended.stdout + ended.stderr);
    return { ended, report: await night.report('report.json') };
  };
  return { source, server, night, run };
}

type Run = (
  date: string,
  options?: string[],
  exitCode?: number,
) => Promise<{ ended: Pick<Ended, 'stdout'>; report: Report }>;

/** `c09 since 2026-01-02` of each marked row. */
const marks = async (night: Night, table = 'contracts'): Promise<string[]> =>
  (
    await night.query<{ mark: string }>(
      `SELECT id || ' since ' || to_char(missing_since, 'YYYY-MM-DD') AS mark FROM ${table}
       WHERE missing_since IS NOT NULL ORDER BY id`,
    )
  ).map(({ mark }) => mark);

const markControl = ({ controls }: Report) => {
  const { expected, actual, result } = controls.find(({ name }) => name.startsWith('rows marked'))!;
  return [expected, actual, result];
};

describe('missing: mark', { concurrency: 2 }, () => {
  test('marks what is no longer listed with the first such date, and takes it back when it is listed again', async (t) => {
    const { source, night, run } = await markingJob(t);
    const first = await run('2026-01-01');
    assert.deepEqual(first.report.marked, { contracts: 0, tonight: 0, amounts: [], reason: null });
    const rows = async () => night.query(`SELECT id, amount, xmin::text FROM contracts WHERE id < 'c09' ORDER BY id`);
    const before = await rows();

    source.listed = contracts(1, 8);
    const second = await run('2026-01-02');
    assert.deepEqual(await marks(night), ['c09 since 2026-01-02', 'c10 since 2026-01-02']);
    assert.deepEqual(second.report.marked, {
      contracts: 2,
      tonight: 2,
      amounts: [{ column: 'amount', currency: 'USD', amount: '3.00' }],
      reason: null,
    });
    assert.deepEqual(markControl(second.report), ['2', '2', 'pass']);
    assert.equal(second.report.counts.missing, 2);
    assert.match(second.ended.stdout, /missing +2 marked, 2 of them tonight: amount USD 3\.00/);
    assert.deepEqual(await rows(), before, 'rows of listed contracts are not touched');

    source.listed = [...contracts(2, 8), 'c10'];
    const third = await run('2026-01-03');
    assert.deepEqual(await marks(night), ['c01 since 2026-01-03', 'c09 since 2026-01-02']);
    assert.deepEqual([third.report.marked?.contracts, third.report.marked?.tonight], [2, 1]);
    assert.deepEqual([third.report.counts.updated, third.report.counts.unchanged], [1, 7], 'the one that returned');
    assert.deepEqual(markControl(third.report), ['2', '2', 'pass']);
  });

  test('a contract that failed is listed, and not marked', async (t) => {
    const { source, night, run } = await markingJob(t);
    await run('2026-01-01');
    source.listed = contracts(1, 9);
    source.broken = new Set(['c03']);
    await run('2026-01-02', [], 3);
    assert.deepEqual(await marks(night), ['c10 since 2026-01-02']);
  });

  for (const [what, change, exitCode, says] of [
    ['whose count differs', { listed: contracts(1, 8), total: 9 }, 4, /counts 9 contracts, and 8 records were listed/],
    ['that gives no count', { listed: contracts(1, 8), total: null }, 4, /gave no count of its own/],
    ['that shows a record twice', { listed: [...contracts(1, 8), 'c01'] }, 0, /1 of the records listed came twice/],
    ['with a record that has no key', { listed: [...contracts(1, 8), ''] }, 3, /1 of the records .* no usable key/],
    ['that is empty', { listed: [] }, 4, /10 of 10 contracts known before are no longer listed.*markAtMost allows 50%/],
    ['of other contracts', { listed: contracts(21, 40) }, 4, /10 of 10 contracts known before/],
  ] as const) {
    test(`a listing ${what} marks nothing, and the report says so`, async (t) => {
      const { source, night, run } = await markingJob(t);
      await run('2026-01-01');
      Object.assign(source, change);
      const { ended, report } = await run('2026-01-02', [], exitCode);
      assert.deepEqual(await marks(night), []);
      assert.match(report.marked!.reason!, says);
      assert.match(ended.stdout, /NOTHING MARKED/);
      assert.equal(markControl(report)[2], says.source.includes('known before') ? 'fail' : 'not-evaluated');
    });
  }

  test('more may be gone at once when the job file says so', async (t) => {
    const { source, night, run } = await markingJob(t, { load: { ...load, markAtMost: '90%' } });
    await run('2026-01-01');
    source.listed = contracts(1, 1);
    await run('2026-01-02');
    assert.equal((await marks(night)).length, 9);
    source.listed = [];
    const { report } = await run('2026-01-03', [], 4);
    assert.match(report.marked!.reason!, /^1 of 1 contracts known before .* 90%/);
    assert.equal((await marks(night)).length, 9);
  });

  test('a listing that was cut off marks nothing; the run that continues it marks', async (t) => {
    const { source, night, run } = await markingJob(t);
    await run('2026-01-01');
    source.listed = contracts(1, 9);
    source.cutOff = true;
    const { report } = await run('2026-01-02', [], 1);
    assert.match(report.marked!.reason!, /cut off/);
    assert.deepEqual(await marks(night), []);
    source.cutOff = false;
    await run('2026-01-02');
    assert.deepEqual(await marks(night), ['c10 since 2026-01-02']);
  });

  test('a run killed while it marks has marked nothing; the same command marks and asks for nothing again', async (t) => {
    const { source, server, night, run } = await markingJob(t);
    await run('2026-01-01');
    await night.query(`CREATE TABLE gate (); CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.missing_since IS NOT NULL THEN LOCK TABLE gate; END IF; RETURN NEW; END $$;
      CREATE TRIGGER gate BEFORE UPDATE ON contracts FOR EACH ROW EXECUTE FUNCTION pass()`);
    source.listed = contracts(1, 8);
    const holder = new pg.Client({ connectionString: night.databaseUrl });
    await holder.connect();
    await holder.query('BEGIN; LOCK TABLE gate IN ACCESS SHARE MODE');
    const running = night.startProcess('run', 'job.yaml', '--date', '2026-01-02');
    await until(
      async () =>
        (await night.query(`SELECT FROM pg_locks WHERE relation = 'gate'::regclass AND NOT granted`)).length > 0,
      running.ended,
    );
    running.process.kill('SIGKILL');
    await running.ended;
    await holder.end();
    assert.deepEqual(await marks(night), []);
    const asked = server.requests.length;
    const { report } = await run('2026-01-02');
    assert.deepEqual(await marks(night), ['c09 since 2026-01-02', 'c10 since 2026-01-02']);
    assert.equal(server.requests.length, asked, 'all was loaded before');
    assert.deepEqual(markControl(report), ['2', '2', 'pass']);
  });

  test('rows of others in the table are never marked', async (t) => {
    const { source, night, run } = await markingJob(t);
    await run('2026-01-01');
    await night.query(`INSERT INTO contracts VALUES ('stranger', 'EUR', 1)`);
    source.listed = contracts(1, 9);
    const { report } = await run('2026-01-02');
    assert.deepEqual(await marks(night), ['c10 since 2026-01-02']);
    assert.deepEqual(markControl(report), ['1', '1', 'pass']);
  });

  test('samples and rehearsals mark nothing; planned anew a night marks as its last listing says', async (t) => {
    const { source, night, run } = await markingJob(t);
    await run('2026-01-01');
    source.listed = contracts(1, 8);
    assert.equal((await run('2026-01-02', ['--limit', '3'])).report.marked, null);
    assert.equal((await run('2026-01-02', ['--dry-run'])).report.marked, null);
    assert.deepEqual(await marks(night), []);
    await run('2026-01-02');
    source.listed = contracts(1, 9);
    await run('2026-01-02', ['--again']);
    assert.deepEqual(await marks(night), ['c10 since 2026-01-02']);
    await run('2026-01-02', ['--again']);
    assert.deepEqual(await marks(night), ['c10 since 2026-01-02']);
  });

  test('a night run late, for a date before one that was begun, marks nothing', async (t) => {
    const { source, night, run } = await markingJob(t);
    await run('2026-01-03');
    source.listed = contracts(1, 8);
    const { report } = await run('2026-01-02', ['--over-newer']);
    assert.match(report.marked!.reason!, /the night of 2026-01-03 has already begun/);
    assert.deepEqual(await marks(night), []);
  });

  test('what a sample begun later has listed is not marked by the rerun of a night', async (t) => {
    const { source, night, run } = await markingJob(t);
    source.broken = new Set(['c03']);
    await run('2026-01-01', [], 3);
    source.listed = ['c11', ...contracts(1, 10)];
    await run('2026-01-01', ['--limit', '1']);
    source.broken.clear();
    const rerun = await night.nightfill('rerun', '--job', 'scripted', await nightRun(night));
    assert.equal(rerun.exitCode, 0, rerun.stdout + rerun.stderr);
    assert.deepEqual(await marks(night), []);
  });

  test('an existing table without the column is refused before any request, with the statement to run', async (t) => {
    const { night, server, source, run } = await markingJob(t);
    await night.query(`CREATE TABLE contracts (id text PRIMARY KEY, currency char(3), amount numeric(12,2))`);
    const refused = await night.nightfill('run', 'job.yaml');
    assert.equal(refused.exitCode, 2, refused.stderr);
    const statement = /ALTER TABLE .*/.exec(refused.stderr)![0];
    assert.deepEqual(server.requests, []);
    const checked = await night.nightfill('check', 'job.yaml');
    assert.equal(checked.exitCode, 2);
    assert(checked.stdout.includes(statement), checked.stdout);
    await night.query(statement);
    await run('2026-01-01');
    source.listed = contracts(1, 9);
    await run('2026-01-02');
    assert.deepEqual(await marks(night), ['c10 since 2026-01-02']);
  });

  test('marks by keys of several columns and types, with quoted names, in a partitioned table', async (t) => {
    const { source, night, run } = await markingJob(t, {
      lookups: {},
      contracts: { total: 'meta.total', key: 'id', paginate: { type: 'offset', param: 'skip', limit: 6 } },
      transform: './row.js',
      load: {
        table: 'order',
        key: ['group', 'number', 'day'],
        columns: {
          id: { type: 'text' },
          group: { type: 'uuid' },
          number: { type: 'bigint' },
          day: { type: 'date' },
        },
        missing: 'mark',
      },
      controls: [],
    });
    await night.write(
      'row.js',
      `export default ({ listed: { id } }) => ({
         id, group: '0000000A-0000-0000-0000-0000000000' + id.slice(1), number: Number(id.slice(1)), day: '2025-01-' + id.slice(1) });`,
    );
    await night.query(`CREATE TABLE "order" (id text, "group" uuid, number bigint, day date, missing_since date,
        PRIMARY KEY ("group", number, day)) PARTITION BY RANGE (day);
      CREATE TABLE early PARTITION OF "order" FOR VALUES FROM (MINVALUE) TO ('2025-01-05');
      CREATE TABLE late PARTITION OF "order" FOR VALUES FROM ('2025-01-05') TO (MAXVALUE)`);
    await run('2026-01-01');
    source.listed = contracts(2, 9);
    const { report } = await run('2026-01-02');
    assert.deepEqual(await marks(night, '"order"'), ['c01 since 2026-01-02', 'c10 since 2026-01-02']);
    assert.deepEqual([report.counts.inserted, report.counts.updated, report.counts.unchanged], [0, 0, 8]);
    source.listed = contracts(1, 10);
    const back = await run('2026-01-03');
    assert.deepEqual(await marks(night, '"order"'), []);
    assert.deepEqual([back.report.counts.inserted, back.report.counts.updated], [0, 2]);
  });

  test('a night held back marks when it switches, and not before', async (t) => {
    const { source, night, run } = await markingJob(t, { commit: 'run' });
    await run('2026-01-01');
    source.listed = contracts(1, 9);
    source.broken = new Set(['c03']);
    const { report } = await run('2026-01-02', [], 3);
    assert.match(report.marked!.reason!, /held back/);
    assert.deepEqual(await marks(night), []);
    source.broken.clear();
    await run('2026-01-02');
    assert.deepEqual(await marks(night), ['c10 since 2026-01-02']);
  });

  test('a table that refuses the mark fails a control, not the night', async (t) => {
    const { source, night, run } = await markingJob(t);
    await run('2026-01-01');
    await night.query(`ALTER TABLE contracts ADD CHECK (missing_since IS NULL)`);
    source.listed = contracts(1, 9);
    const { report } = await run('2026-01-02', [], 4);
    assert.match(report.marked!.reason!, /violates check constraint/);
    assert.deepEqual(markControl(report), ['1', '0', 'fail']);
    assert.deepEqual([report.counts.listed, report.counts.failed], [9, 0]);
  });

  test('over any nights a row bears the first date since which its contract was not listed', async (t) => {
    const { source, night, run } = await markingJob(t, { load: { ...load, markAtMost: '100%' } });
    const all = contracts(1, 6);
    let day = 0;
    const expected = new Map<string, string>();
    const loaded = new Set<string>();
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          listed: fc.subarray(all),
          broken: fc.subarray(all, { maxLength: 2 }),
          lies: fc.boolean(),
        }),
        async ({ listed, broken, lies }) => {
          day += 1;
          const date = new Date(Date.UTC(2026, 0, day)).toISOString().slice(0, 10);
          Object.assign(source, { listed, broken: new Set(broken), total: listed.length + (lies ? 1 : 0) });
          await run(date, [], lies ? 4 : broken.some((key) => listed.includes(key)) ? 3 : 0);
          for (const key of listed.filter((one) => !broken.includes(one))) {
            loaded.add(key);
            expected.delete(key);
          }
          if (!lies) for (const key of loaded) if (!listed.includes(key) && !expected.has(key)) expected.set(key, date);
          assert.deepEqual(await marks(night), [...expected].map(([key, since]) => `${key} since ${since}`).toSorted());
        },
      ),
      // One history: each night goes on from the last, so there is nothing to shrink.
      { numRuns: 25, endOnFailure: true },
    );
  });
});

const nightRun = async (night: Night): Promise<string> =>
  (
    await night.query<{ id: string }>(
      `SELECT run.id FROM nightfill.run JOIN nightfill.instance ON instance.id = run.instance WHERE purpose = 'night'`,
    )
  )[0]!.id;
