import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { reportSchema } from '../../../src/report/schema.ts';
import { startNight } from '../../support/night.ts';
import { listAndLookUp, scriptedJob, scriptedNight } from '../../support/scripted-job.ts';
import { simulatedNight } from '../../support/simulated-job.ts';

describe('the command line', { concurrency: 3 }, () => {
  test('--limit takes a sample that leaves the night to be done', async (t) => {
    const { simulator, night } = await simulatedNight(t, { simulator: { contracts: 60 } });
    const sample = await night.nightfill('run', 'job.yaml', '--limit', '7', '--report', 'sample.json');
    assert.equal(sample.exitCode, 0, sample.stdout + sample.stderr);
    const { counts } = await night.report('sample.json');
    assert.deepEqual([counts.listed, counts.enriched, counts.notStarted], [7, 7, 0]);
    const { crm } = await simulator.statistics();
    assert.deepEqual([crm.listing.requests, crm.records.requests], [1, 7]);
    assert.equal((await night.query('SELECT FROM enriched')).length, 7);

    const whole = await night.nightfill('run', 'job.yaml');
    assert.equal(whole.exitCode, 0);
    assert.equal((await night.report()).counts.listed, 60);

    await night.query(`UPDATE nightfill.instance SET status = 'planned' WHERE purpose = 'night'`);
    const { businessDate } = (await night.report()).run;
    assert.equal((await night.nightfill('run', 'job.yaml', '--limit', '7')).exitCode, 0);
    const [own, nights] = [`reports/simulated-${businessDate}-sample.json`, `reports/simulated-${businessDate}.json`];
    assert.deepEqual([(await night.report(own)).counts.listed, (await night.report(nights)).counts.listed], [7, 60]);
    const rerun = await night.nightfill('rerun', 'latest', '--report', 'rerun.json');
    assert.equal(rerun.exitCode, 0, rerun.stderr);
    assert.equal((await night.report('rerun.json')).counts.listed, 60, 'a sample does not hide the night');
  });

  test('--dry-run makes a whole report and leaves no table where there was none', async (t) => {
    const { night } = await simulatedNight(t, { simulator: { contracts: 60, faults: { missing: 0.1 } } });
    const run = await night.nightfill('run', 'job.yaml', '--dry-run', '--json');
    assert.equal(run.exitCode, 3, run.stderr);
    const report = reportSchema.parse(JSON.parse(run.stdout));
    assert.equal(report.run.mode, 'dry-run');
    assert.equal(report.counts.inserted, report.counts.enriched);
    assert(report.amounts.every(({ loaded }) => Number(loaded) > 0));
    const [target] = await night.query<{ target: string | null }>(`SELECT to_regclass('public.enriched') AS target`);
    assert.equal(target?.target, null);
    // It does not count as the night either.
    assert.match((await night.nightfill('run', 'job.yaml')).stdout, /inserted/);
  });

  test('--dry-run leaves a table that is there as it is', async (t) => {
    const { server, night } = await scriptedNight(t, {
      script: listAndLookUp([{ id: 'a' }, { id: 'b' }], (id) => ({ id, amount: 1 })),
    });
    assert.equal((await night.nightfill('run', 'job.yaml')).exitCode, 0);
    const state = 'SELECT id, amount::text, xmin::text FROM contracts ORDER BY id';
    const before = await night.query(state);
    server.answerWith(listAndLookUp([{ id: 'a' }, { id: 'b' }, { id: 'c' }], (id) => ({ id, amount: 2 })));
    const dry = await night.nightfill('run', 'job.yaml', '--dry-run', '--json');
    assert.equal(dry.exitCode, 0, dry.stderr);
    const { counts, amounts } = reportSchema.parse(JSON.parse(dry.stdout));
    assert.deepEqual([counts.inserted, counts.updated, amounts[0]?.loaded], [1, 2, '6.00']);
    assert.deepEqual(await night.query(state), before);
  });

  test('check of a good setup says what is right, exits with 0 and writes nothing', async (t) => {
    const { night } = await simulatedNight(t, { schema: false, simulator: { contracts: 5 } });
    const check = await night.nightfill('check', 'job.yaml');
    assert.equal(check.exitCode, 0, check.stdout);
    assert.doesNotMatch(check.stdout, /WRONG/);
    assert.match(check.stdout, /CT-0000001/);
    assert.deepEqual(await night.query(`SELECT nspname FROM pg_namespace WHERE nspname = 'nightfill'`), []);
    assert.deepEqual(await night.query(`SELECT FROM pg_class WHERE relname = 'enriched'`), []);
  });

  test('check of a bad setup names everything wrong at once and exits with 2', async (t) => {
    const { night } = await simulatedNight(t, { simulator: { contracts: 5 } });
    await night.query('CREATE TABLE enriched (contract_id text PRIMARY KEY, currency int)');
    night.environment['CRM_TOKEN'] = 'wrong';
    const check = await night.nightfill('check', 'job.yaml');
    assert.equal(check.exitCode, 2, check.stdout);
    for (const wrong of [/WRONG.*currency/, /WRONG.*annual_value/, /WRONG.*API "crm".*401/])
      assert.match(check.stdout, wrong);
  });

  test('check asks as a run does: an answer that is wrong once is no news, one that stays wrong is', async (t) => {
    const answer = listAndLookUp([{ id: 'a' }]);
    const asked = new Set<string>();
    const { night, server } = await scriptedNight(t, {
      script: (request) => {
        const isFirst = !asked.has(request.url);
        asked.add(request.url);
        return isFirst ? { status: 500, json: {} } : answer(request);
      },
    });
    const good = await night.nightfill('check', 'job.yaml');
    assert.equal(good.exitCode, 0, good.stdout);
    assert.equal(server.requests.length, 4);
    server.answerWith(({ url }) => (url === '/contracts' ? answer({ url }) : { status: 500, json: {} }));
    const bad = await night.nightfill('check', 'job.yaml');
    assert.equal(bad.exitCode, 2);
    assert.match(bad.stdout, /WRONG contract a: API "crm".*500/);
  });

  test('check tries a load without a row, and says what a wider or narrower column needs', async (t) => {
    const { night } = await scriptedNight(t, { script: listAndLookUp([{ id: 'a' }]) });
    await night.query(
      `CREATE TABLE contracts (id text PRIMARY KEY, name text, currency char(3), amount numeric(10,2))`,
    );
    const narrow = await night.nightfill('check', 'job.yaml');
    assert.match(
      narrow.stdout,
      /WRONG .*: ALTER TABLE "public"."contracts" ALTER COLUMN "amount" TYPE numeric\(12,2\)\n/,
    );
    assert.match(narrow.stdout, /contract a is enriched; its row is not tried, because/);
    await night.query('ALTER TABLE contracts ALTER COLUMN amount TYPE numeric(18,4)');
    assert.equal((await night.nightfill('check', 'job.yaml')).exitCode, 0);
    await night.query(
      `CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not in this table'; END $$`,
    );
    await night.query(`CREATE TRIGGER no BEFORE INSERT ON contracts EXECUTE FUNCTION no()`);
    const refused = await night.nightfill('check', 'job.yaml');
    assert.equal(refused.exitCode, 2);
    assert.match(refused.stdout, /WRONG a load, tried without a row, is refused: .*not in this table/);
    const run = await night.nightfill('run', 'job.yaml', '--report', 'report.json');
    assert.equal(run.exitCode, 2);
    assert.match(run.stderr, /contracts cannot be loaded: .*not in this table/);
  });

  test('check loads the row of the first contract and takes it back, so what a run would refuse is wrong already', async (t) => {
    const { night, server } = await scriptedNight(t, { script: listAndLookUp([{ id: 'a' }]) });
    const load = (type: string): object => ({
      table: 'contracts',
      key: ['id'],
      columns: {
        id: { from: 'contract.id', type: 'text' },
        units: { from: 'contract.units', type },
      },
    });
    const checked = async (units: unknown, exitCode: number): Promise<string> => {
      server.answerWith(listAndLookUp([{ id: 'a' }], (id) => ({ id, units })));
      const check = await night.nightfill('check', 'job.yaml');
      assert.equal(check.exitCode, exitCode, check.stdout);
      return check.stdout;
    };
    const state = `SELECT (SELECT count(*)::int FROM pg_class WHERE relname = 'contracts') AS tables`;

    await night.write('job.yaml', scriptedJob(server.origin, { load: load('date'), controls: [] }));
    assert.match(
      await checked('30.02.2026', 2),
      /WRONG contract a: column units \(date\) cannot hold the value: .*30\.02\.2026/,
    );
    await night.write('job.yaml', scriptedJob(server.origin, { load: load('integer'), controls: [] }));
    const wrong = await checked('twelve', 2);
    assert.match(wrong, /WRONG contract a: column units \(integer\) cannot hold the value: .*"twelve"/);
    assert.doesNotMatch(wrong, /and fits/);
    assert.match(await checked(12, 0), /ok {4}contract a is enriched and fits contracts/);
    assert.deepEqual(await night.query(state), [{ tables: 0 }]);

    // What only the table that is there knows: a constraint, asked at the end of a transaction, and rows that stand there.
    await night.query(`
      CREATE TABLE allowed (units int PRIMARY KEY);
      CREATE TABLE contracts (id text PRIMARY KEY, units int REFERENCES allowed DEFERRABLE INITIALLY DEFERRED);
      INSERT INTO allowed VALUES (12); INSERT INTO contracts VALUES ('a', 12)`);
    assert.match(await checked(13, 2), /WRONG contract a: .*foreign key/);
    await night.query('INSERT INTO allowed VALUES (14)');
    await checked(14, 0);
    assert.deepEqual(await night.query('SELECT id, units FROM contracts'), [{ id: 'a', units: 12 }]);
  });

  test('check tells of a database that is down and of an API at once', async (t) => {
    const { night } = await scriptedNight(t, { script: () => ({ status: 404, json: {} }) });
    night.environment['DATABASE_URL'] = 'postgres://someone@127.0.0.1:1/none';
    const check = await night.nightfill('check', 'job.yaml');
    assert.equal(check.exitCode, 2);
    assert.match(check.stdout, /WRONG.*127\.0\.0\.1:1/);
    assert.match(check.stdout, /WRONG.*API "crm".*404/);
  });

  test('init writes a job file that check reads, and never writes over one', async (t) => {
    const night = await startNight(t, { databaseUrl: 'postgres://someone@127.0.0.1:1/none' });
    const first = await night.nightfill('init', 'jobs');
    assert.equal(first.exitCode, 0);
    const file = first.stdout.trim();
    await night.write(file, `# mine\n${await night.read(file)}`);
    const second = await night.nightfill('init', 'jobs');
    assert.equal(second.exitCode, 2);
    assert.match(second.stderr, /already exists/);
    assert.match(await night.read(file), /^# mine\n/);
    // Only what it must be told is missing: addresses and credentials.
    const check = await night.nightfill('check', file);
    assert.equal(check.exitCode, 2);
    assert.match(check.stderr, /CRM_URL/);
  });

  test('runs, show and report tell of a night that failed in part', async (t) => {
    const { night } = await simulatedNight(t, { simulator: { contracts: 40, faults: { missing: 0.2 } } });
    assert.equal((await night.nightfill('run', 'job.yaml', '--date', '2026-11-20')).exitCode, 3);
    const written = await night.read('reports/simulated-2026-11-20.json');
    const { run, counts, failures } = reportSchema.parse(JSON.parse(written));

    const runs = JSON.parse((await night.nightfill('runs', '--json')).stdout) as Record<string, unknown>[];
    assert.deepEqual(
      runs.map(({ id, job, businessDate, status, exitCode, contracts, failed }) => ({
        id,
        job,
        businessDate,
        status,
        exitCode,
        contracts,
        failed,
      })),
      [
        {
          id: run.id,
          job: 'simulated',
          businessDate: '2026-11-20',
          status: 'partial',
          exitCode: 3,
          contracts: 40,
          failed: counts.failed,
        },
      ],
    );
    const show = JSON.parse((await night.nightfill('show', run.id.slice(0, 13), '--json')).stdout) as {
      chunks: { number: number; failed: number }[];
      failures: { key: string; code: string }[];
    };
    assert.deepEqual(
      show.chunks.map(({ number }) => number),
      [1, 2],
    );
    assert.deepEqual(
      show.failures.map(({ key, code }) => ({ key, code })),
      failures.map(({ key, code }) => ({ key, code })),
    );
    assert.match((await night.nightfill('show', 'latest')).stdout, new RegExp(`${failures[0]!.key}.*HTTP_404`));

    const report = await night.nightfill('report', 'latest', '-o', 'elsewhere/report.json');
    assert.deepEqual([report.exitCode, report.stdout], [0, '']);
    assert.equal(await night.read('elsewhere/report.json'), written);
    assert.equal((await night.nightfill('report')).stdout, written);
  });

  test('a variable sets an option that is not typed, and a switch unless it is empty, 0 or false', async (t) => {
    const { night } = await simulatedNight(t, { simulator: { contracts: 1 } });
    for (const date of ['2026-01-01', '2026-01-02'])
      assert.equal((await night.nightfill('run', 'job.yaml', '--date', date)).exitCode, 0);
    const runs = async (environment: Record<string, string>, ...typed: string[]): Promise<string> => {
      Object.assign(night.environment, environment);
      const ended = await night.nightfill('runs', ...typed);
      return ended.stdout + ended.stderr;
    };
    for (const off of ['', '0', 'false']) assert.match(await runs({ NIGHTFILL_JSON: off }), /^ *run /);
    assert.equal((JSON.parse(await runs({ NIGHTFILL_JSON: '1', NIGHTFILL_LIMIT: '1' })) as object[]).length, 1);
    assert.equal((JSON.parse(await runs({}, '--limit', '2')) as object[]).length, 2);
    assert.match(await runs({ NIGHTFILL_LIMIT: 'x' }), /'x' from env 'NIGHTFILL_LIMIT' is invalid/);
  });

  test('help explains each command with an example', async (t) => {
    const night = await startNight(t, { databaseUrl: null });
    for (const command of ['run', 'rerun', 'check', 'report', 'show']) {
      const help = await night.nightfill(command, '--help');
      assert.equal(help.exitCode, 0);
      assert.match(help.stdout, new RegExp(`Examples:\\n +\\$ nightfill ${command}`));
    }
  });
});
