import { describe, test, type TestContext } from 'node:test';
import assert from 'node:assert/strict';
import pg from 'pg';
import type { NightForecast } from '../../../src/jobs/forecast/night-forecast.ts';
import { commitOf, CrashScene } from '../../support/crash-scene.ts';
import { until, type Night } from '../../support/night.ts';
import { listAndLookUp, scriptedNight } from '../../support/scripted-job.ts';
import type { ScriptedServer } from '../../support/scripted-server.ts';

const keys = Array.from({ length: 20 }, (_, index) => `c${String(index + 1).padStart(2, '0')}`);

/** Twenty contracts in four chunks, which cost `price` each; those in `gone` are not found. */
async function wholeNight(
  t: TestContext,
  job: object = {},
): Promise<{ server: ScriptedServer; night: Night; source: { price: string; gone: Set<string> } }> {
  const source = { price: '1.00', gone: new Set<string>() };
  const { server, night } = await scriptedNight(t, {
    script: (request) =>
      listAndLookUp(
        keys.map((id) => ({ id, amount: source.price, currency: 'EUR' })),
        (id) => (source.gone.has(id) ? undefined : { id, amount: source.price }),
      )(request),
    job: {
      commit: 'run',
      chunk: { size: 5 },
      api: { limits: { concurrency: 4 } },
      failures: { stopAbove: '100%' },
      ...job,
    },
  });
  return { server, night, source };
}

const target = async (night: Night): Promise<string[]> =>
  (
    await night.query<{ line: string }>(
      `SELECT amount || ' × ' || count(*) AS line FROM contracts GROUP BY amount ORDER BY amount`,
    )
  ).map(({ line }) => line);

const lookups = (server: ScriptedServer): string[] =>
  server.requests.flatMap(({ url }) => (url.startsWith('/contracts/') ? [url.slice('/contracts/'.length)] : []));

describe('commit: run', { concurrency: 3 }, () => {
  test('plan says how long the switch at the end takes, by the last one, and takes it out of the time there is', async (t) => {
    const { night, source } = await wholeNight(t);
    const plan = async (date: string) => {
      const planned = await night.nightfill('plan', 'job.yaml', '--date', date, '--finish-by', '23:59', '--json');
      return JSON.parse(planned.stdout) as NightForecast;
    };
    assert.deepEqual((await plan('2026-01-01')).switchOver, { rows: 20, ms: null, paceFrom: null });
    const run = async (date: string) => night.nightfill('run', 'job.yaml', '--date', date, '--report', 'report.json');
    assert.equal((await run('2026-01-01')).exitCode, 0);
    source.gone.add('c07');
    assert.equal((await run('2026-01-02')).exitCode, 3);
    await night.query(`UPDATE nightfill.run SET figures = jsonb_set(figures::jsonb, '{tasks}',
      '[{"kind": "switch", "succeeded": 1, "totalMs": 90000000}]') WHERE status = 'succeeded'`);
    const { instance, switchOver, availableMs, fits } = await plan('2026-01-02');
    assert.equal(instance?.left, 1);
    assert.deepEqual(switchOver, { rows: 20, ms: 90_000_000, paceFrom: 'last switch' }, '19 are held back');
    assert.deepEqual([availableMs, fits], [0, false], 'longer than a day');
    const shown = await night.nightfill('plan', 'job.yaml', '--date', '2026-01-03');
    assert.match(
      shown.stdout,
      /then the switch at the end \(commit: run\) of 20 rows takes about 1500 min 0 s \(by the last switch\)/,
    );

    const soon = new Date(Date.now() + 3_600_000).toISOString();
    const stopped = await night.nightfill(
      'run',
      'job.yaml',
      '--date',
      '2026-01-03',
      '--finish-by',
      soon,
      '--report',
      'report.json',
    );
    assert.equal(stopped.exitCode, 6, stopped.stdout);
    const { run: ended, counts } = await night.report('report.json');
    assert.match(
      ended.reason!,
      /too near for another chunk: with the work in progress and the switch of 5 rows at the end it would take 2250\d\.\d s/,
    );
    assert.equal(counts.notStarted, 20);
  });

  test('readers see the old night or the new one, never a part of it', async (t) => {
    const { night, source } = await wholeNight(t);
    const first = await night.nightfill('run', 'job.yaml', '--date', '2026-01-01');
    assert.equal(first.exitCode, 0, first.stderr);
    source.price = '2.00';
    const running = night.start('run', 'job.yaml', '--date', '2026-01-02');
    const seen = new Set<string>();
    let over = false;
    const end = running.ended.finally(() => (over = true));
    while (!over) seen.add((await target(night)).join());
    assert.equal((await end).exitCode, 0);
    seen.add((await target(night)).join());
    assert.deepEqual([...seen], ['1.00 × 20', '2.00 × 20']);
    const { counts, controls, chunks, amounts } = await night.report('reports/scripted-2026-01-02.json');
    assert.deepEqual([counts.inserted, counts.updated, counts.unchanged, counts.staged], [0, 20, 0, undefined]);
    assert(controls.every(({ result }) => result !== 'fail'));
    assert.equal(controls.find(({ type }) => type === 'keys')?.result, 'pass');
    assert.deepEqual(amounts, [
      {
        column: 'amount',
        currency: 'EUR',
        listed: '40.00',
        loaded: '40.00',
        failed: '0.00',
        notStarted: '0.00',
        variance: '0.00',
        unknown: { failed: 0, notStarted: 0 },
      },
    ]);
    assert(chunks.every(({ updated, digest }) => updated === 5 && digest !== null));
    assert.deepEqual(await night.query('SELECT FROM nightfill.staged'), []);
    const again = await night.nightfill('run', 'job.yaml', '--date', '2026-01-02', '--again');
    assert.equal(again.exitCode, 0, again.stderr);
    assert.equal((await night.report('reports/scripted-2026-01-02.json')).counts.unchanged, 20);
  });

  test('a contract that failed holds the whole night back; its rerun switches', async (t) => {
    const { server, night, source } = await wholeNight(t);
    await night.nightfill('run', 'job.yaml', '--date', '2026-01-01');
    source.price = '2.00';
    source.gone.add('c07');
    const held = await night.nightfill('run', 'job.yaml', '--date', '2026-01-02');
    assert.equal(held.exitCode, 3, held.stderr);
    assert.match(held.stdout, /keeps public\.contracts unchanged: 1 of 20 contracts failed/);
    assert.deepEqual(await target(night), ['1.00 × 20']);
    const { counts, controls, amounts } = await night.report('reports/scripted-2026-01-02.json');
    assert.deepEqual([counts.enriched, counts.failed, counts.staged, counts.updated], [19, 1, 19, 0]);
    assert.deepEqual(amounts, [
      {
        column: 'amount',
        currency: 'EUR',
        listed: '40.00',
        loaded: '0.00',
        staged: '38.00',
        failed: '2.00',
        notStarted: '0.00',
        variance: '0.00',
        unknown: { failed: 0, notStarted: 0 },
      },
    ]);
    for (const { name, result } of controls) {
      if (name.endsWith('source against target') || name.startsWith('rows in the target'))
        assert.equal(result, 'not-evaluated');
    }

    source.gone.clear();
    server.requests.length = 0;
    const mended = await night.nightfill('rerun', 'latest');
    assert.equal(mended.exitCode, 0, mended.stderr);
    assert.deepEqual(lookups(server), ['c07']);
    assert.deepEqual(await target(night), ['2.00 × 20']);
    const merged = await night.report('reports/scripted-2026-01-02.json');
    assert.deepEqual(
      [merged.counts.updated, merged.counts.staged, merged.amounts[0]?.loaded],
      [20, undefined, '40.00'],
    );
    assert(merged.controls.every(({ result }) => result !== 'fail'));
    const nothing = await night.nightfill('run', 'job.yaml', '--date', '2026-01-02');
    assert.match(nothing.stdout, /is complete for 2026-01-02; nothing to do/);
  });

  test('the completeness control says how many failures the switch tolerates', async (t) => {
    const { night, source } = await wholeNight(t, {
      controls: [{ sum: 'amount', by: 'currency' }, { completeness: '90%' }],
    });
    source.gone.add('c01').add('c02');
    const tolerated = await night.nightfill('run', 'job.yaml', '--report', 'tolerated.json');
    assert.equal(tolerated.exitCode, 3, tolerated.stderr);
    assert.deepEqual(await target(night), ['1.00 × 18']);
    source.gone.clear();
    assert.equal((await night.nightfill('rerun', 'latest', '--report', 'mended.json')).exitCode, 0);
    assert.deepEqual(await target(night), ['1.00 × 20']);
    source.gone.add('c03').add('c04').add('c05');
    source.price = '3.00';
    const refused = await night.nightfill('run', 'job.yaml', '--again', '--report', 'refused.json');
    assert.equal(refused.exitCode, 4, refused.stderr);
    assert.match(refused.stdout, /3 of 20 contracts failed, and completeness asks for 18/);
    assert.deepEqual(await target(night), ['1.00 × 20']);
  });

  test('a row that only the target refuses is a failure of its contract, and holds the night back', async (t) => {
    const { night, source } = await wholeNight(t);
    await night.nightfill('run', 'job.yaml', '--date', '2026-01-01');
    await night.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN IF new.id = 'c11' THEN RAISE check_violation USING MESSAGE = 'eleven is not allowed'; END IF; RETURN new; END $$`);
    await night.query(
      `CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON contracts FOR EACH ROW EXECUTE FUNCTION refuse()`,
    );
    source.price = '2.00';
    const held = await night.nightfill('run', 'job.yaml', '--date', '2026-01-02');
    assert.equal(held.exitCode, 3, held.stderr);
    assert.deepEqual(await target(night), ['1.00 × 20']);
    const { counts, failures, chunks } = await night.report('reports/scripted-2026-01-02.json');
    assert.deepEqual([counts.enriched, counts.failed, counts.staged], [19, 1, 19]);
    assert.deepEqual([failures[0]?.key, failures[0]?.stage], ['c11', 'load']);
    assert.match(failures[0]!.message, /eleven is not allowed/);
    assert.deepEqual(
      chunks.map(({ status }) => status),
      ['succeeded', 'succeeded', 'partial', 'succeeded'],
    );

    await night.query('DROP TRIGGER refuse ON contracts');
    const mended = await night.nightfill('rerun', 'latest');
    assert.equal(mended.exitCode, 0, mended.stderr);
    assert.deepEqual(await target(night), ['2.00 × 20']);
    const merged = await night.report('reports/scripted-2026-01-02.json');
    assert(
      merged.controls.every(({ result }) => result !== 'fail'),
      JSON.stringify(merged.controls),
    );
    assert.deepEqual([merged.counts.enriched, merged.counts.failed, merged.amounts[0]?.variance], [20, 0, '0.00']);
  });

  test('the sums tie out after a rerun of a chunk that the target had refused altogether', async (t) => {
    const { night } = await wholeNight(t, { chunk: { size: 1 } });
    await night.query('CREATE TABLE allowed (id text PRIMARY KEY)');
    await night.query(`INSERT INTO allowed SELECT 'c' || lpad(n::text, 2, '0') FROM generate_series(1, 19) AS n`);
    await night.query(
      'CREATE TABLE contracts (id text PRIMARY KEY REFERENCES allowed, name text, currency char(3), amount numeric(12,2))',
    );
    const held = await night.nightfill('run', 'job.yaml', '--report', 'held.json');
    assert.equal(held.exitCode, 3, held.stderr);
    await night.query(`INSERT INTO allowed VALUES ('c20')`);
    const mended = await night.nightfill('rerun', 'latest', '--report', 'mended.json');
    assert.equal(mended.exitCode, 0, mended.stdout + mended.stderr);
    assert.deepEqual(await target(night), ['1.00 × 20']);
  });

  test('killed before its switch, the same command asks for nothing again and switches', async (t) => {
    const { server, night, source } = await wholeNight(t);
    await night.nightfill('run', 'job.yaml', '--date', '2026-01-01');
    source.price = '2.00';
    const reader = new pg.Client({ connectionString: night.databaseUrl });
    await reader.connect();
    // Still connected when a test fails, and cut off with its database.
    reader.on('error', () => {});
    await reader.query('BEGIN; SELECT FROM contracts FOR UPDATE');
    const running = night.startProcess('run', 'job.yaml', '--date', '2026-01-02');
    const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
    await until(async () => (await night.query(waiting)).length > 0, running.ended);
    running.process.kill('SIGKILL');
    await running.ended;
    await reader.query('COMMIT');
    await reader.end();
    assert.deepEqual(await target(night), ['1.00 × 20']);
    server.requests.length = 0;
    const finished = await night.nightfill('run', 'job.yaml', '--date', '2026-01-02');
    assert.equal(finished.exitCode, 0, finished.stderr);
    assert.deepEqual(server.requests, []);
    assert.deepEqual(await target(night), ['2.00 × 20']);
    const { counts, run } = await night.report('reports/scripted-2026-01-02.json');
    assert.deepEqual([run.mode, counts.enriched, counts.updated], ['continue', 20, 20]);
  });

  test('rows held back fit only the columns they were fetched for, until the night is planned anew', async (t) => {
    const { server, night, source } = await wholeNight(t);
    source.gone.add('c20');
    assert.equal((await night.nightfill('run', 'job.yaml')).exitCode, 3);
    const job = JSON.parse(await night.read('job.yaml')) as { load: { columns: Record<string, object> } };
    const { name: _, ...columns } = job.load.columns;
    await night.write('job.yaml', { ...job, load: { ...job.load, columns } });
    server.requests.length = 0;
    const refused = await night.nightfill('rerun', 'latest');
    assert.equal(refused.exitCode, 2, refused.stderr);
    assert.match(refused.stderr, /load\.columns of .*job\.yaml has changed since; put the job file back, or plan anew/);
    assert.deepEqual(server.requests, []);
    source.gone.clear();
    const [replaced] = await night.query<{ id: string }>('SELECT id FROM nightfill.run');
    const anew = await night.nightfill('run', 'job.yaml', '--again');
    assert.equal(anew.exitCode, 0, anew.stderr);
    const late = await night.nightfill('rerun', replaced!.id);
    assert.equal(late.exitCode, 2, late.stderr);
    assert.match(late.stderr, /run --again has planned scripted anew/);
    assert.deepEqual(await target(night), ['1.00 × 20']);
    assert.deepEqual(await night.query('SELECT FROM nightfill.staged'), []);
  });

  test('a complete night worked on anew and held back is unfinished; the next run switches', async (t) => {
    const { night, source } = await wholeNight(t);
    const date = ['--date', '2026-01-01'];
    assert.equal((await night.nightfill('run', 'job.yaml', ...date)).exitCode, 0);
    source.price = '2.00';
    source.gone.add('c07');
    assert.equal((await night.nightfill('rerun', 'latest', '--whole-chunks')).exitCode, 3);
    assert.deepEqual(await target(night), ['1.00 × 20']);
    source.gone.clear();
    const mended = await night.nightfill('run', 'job.yaml', ...date);
    assert.equal(mended.exitCode, 0, mended.stderr);
    assert.deepEqual(await target(night), ['2.00 × 20']);
  });

  test('rows held back go in with the next run when the job file lets every chunk stand by itself', async (t) => {
    const { night, source } = await wholeNight(t);
    source.gone.add('c07');
    assert.equal((await night.nightfill('run', 'job.yaml')).exitCode, 3);
    assert.deepEqual(await target(night), []);
    await night.write('job.yaml', { ...(JSON.parse(await night.read('job.yaml')) as object), commit: 'chunk' });
    const rerun = await night.nightfill('rerun', 'latest', '--report', 'rerun.json');
    assert.equal(rerun.exitCode, 3, rerun.stderr);
    assert.deepEqual(await target(night), ['1.00 × 19']);
    const { counts, controls } = await night.report('rerun.json');
    assert.deepEqual([counts.inserted, counts.failed, counts.staged], [19, 1, undefined]);
    assert(controls.every(({ result }) => result !== 'fail'));
  });

  test('when the answer to the COMMIT of a refused switch is lost, the night stays held back', async (t) => {
    const scene = await CrashScene.start(t, { job: { commit: 'run' } });
    const first = await scene.night.nightfill(...scene.command('run'));
    assert.equal(first.exitCode, 0, first.stderr);
    await scene.query(`DELETE FROM contracts`);
    await scene.query(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN IF new.id = 'c11' THEN RAISE check_violation USING MESSAGE = 'eleven is not allowed'; END IF; RETURN new; END $$`);
    await scene.query(`CREATE TRIGGER refuse BEFORE INSERT ON contracts FOR EACH ROW EXECUTE FUNCTION refuse()`);
    scene.proxy.cutWhen({ direction: 'toServer', matches: commitOf('json_agg(DISTINCT attempt'), pass: true });
    const held = await scene.night.nightfill(...scene.command('run'), '--again');
    assert.notEqual(held.exitCode, 0);
    assert.match(held.stdout, /keeps public\.contracts unchanged: 1 of 40 contracts failed/);
    assert.deepEqual(await scene.query('SELECT FROM contracts'), []);
  });
});
