import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test, type TestContext } from 'node:test';
import type { HistoryEntry } from '../../../src/ledger/history/entry.ts';
import { readHistory } from '../../../src/ledger/history/history.ts';
import type { Job } from '../../../src/jobs/job.ts';
import { findRun } from '../../../src/ledger/find-run.ts';
import { readNightLedger } from '../../../src/jobs/forecast/night-ledger.ts';
import { thisProcess } from '../../../src/ledger/process-identity.ts';
import type { Database, Queryable } from '../../../src/sinks/postgres/postgres.ts';
import { createDatabase } from '../../support/database.ts';
import { startNight, type Night } from '../../support/night.ts';
import { listAndLookUp, scriptedNight, scriptedToken } from '../../support/scripted-job.ts';
import { seedNights } from '../../support/seeded-ledger.ts';

const records = [{ id: 'A' }, { id: 'B' }];

async function twoContracts(t: TestContext) {
  const { night, server } = await scriptedNight(t, { script: listAndLookUp(records) });
  const run = async (...options: string[]) => night.nightfill('run', 'job.yaml', '--report', 'report.json', ...options);
  return { night, server, run };
}

const runsOf = async (night: Night): Promise<HistoryEntry[]> =>
  JSON.parse((await night.nightfill('runs', '--json')).stdout) as HistoryEntry[];

describe('starts that were refused', { concurrency: true }, () => {
  test('stand in the history with the runs, in order of time, with date, trigger, code and reason', async (t) => {
    const { night, run } = await twoContracts(t);
    assert.equal((await run('--date', '2026-01-01')).exitCode, 0);
    await night.query('ALTER TABLE contracts DROP COLUMN name');
    const refused = await run('--date', '2026-01-02', '--trigger', 'cron');
    assert.equal(refused.exitCode, 2, refused.stderr);
    await night.query('ALTER TABLE contracts ADD COLUMN name text');
    assert.equal((await run('--date', '2026-01-03')).exitCode, 0);

    const entries = await runsOf(night);
    assert.deepEqual(
      entries.map(({ businessDate, trigger, status, exitCode }) => [businessDate, trigger, status, exitCode]),
      [
        ['2026-01-03', 'manual', 'succeeded', 0],
        ['2026-01-02', 'cron', 'refused', 2],
        ['2026-01-01', 'manual', 'succeeded', 0],
      ],
    );
    const { id, code, reason } = entries[1]!;
    assert.ok(refused.stderr.includes(reason!), reason!);
    const listed = await night.nightfill('runs');
    assert.match(listed.stdout, new RegExp(`${id} +scripted +2026-01-02 +refused +2 .* ${code}\n`));
    const shown = await night.nightfill('show', id);
    assert.match(shown.stdout, /\nstatus +refused\nexitCode +2\n[^]*\nNothing was started\./);
    assert.ok(shown.stdout.replaceAll(/\n {14}/g, '\n').includes(reason!), shown.stdout);
  });

  test('show latest tells of one that came after the latest run; report and rerun still mean the run', async (t) => {
    const { night, server, run } = await twoContracts(t);
    assert.equal((await run('--date', '2026-01-01')).exitCode, 0);
    server.answerWith(() => ({ status: 401, json: { got: scriptedToken } }));
    const refused = await run('--date', '2026-01-02');
    assert.equal(refused.exitCode, 2);
    const shown = await night.nightfill('show', 'latest', '--json');
    const { status, businessDate, code, chunks, failures, controls } = JSON.parse(shown.stdout) as HistoryEntry &
      Record<string, unknown>;
    assert.deepEqual([status, businessDate, code], ['refused', '2026-01-02', 'CREDENTIALS_REJECTED']);
    assert.deepEqual([chunks, failures, controls], [[], [], []]);
    assert.ok(!shown.stdout.includes(scriptedToken));
    assert.match((await night.nightfill('report', 'latest')).stdout, /"businessDate": "2026-01-01"/);
    assert.match((await night.nightfill('rerun', 'latest')).stdout, /nothing to do/);
    assert.equal((await run('--date', '2026-01-03', '--dry-run')).exitCode, 2);
    assert.equal((await run('--date', '2026-01-03', '--limit', '1')).exitCode, 2);
    assert.equal((await runsOf(night)).length, 2, 'a rehearsal or a sample is no night');
  });

  test('a job file that cannot be used is one too, as long as it tells its name', async (t) => {
    const { night, run } = await twoContracts(t);
    delete night.environment['CRM_TOKEN'];
    const unset = await run('--date', '2026-01-02', '--trigger', 'cron');
    assert.equal(unset.exitCode, 2);
    await night.write('job.yaml', 'name: scripted\ntimezone: Europe/Berlin\napis: [\n');
    assert.equal((await run()).exitCode, 2);
    await night.write('job.yaml', 'apis: {}\n');
    assert.equal((await run()).exitCode, 2);
    const entries = await runsOf(night);
    assert.deepEqual(
      entries.map(({ job, status, code }) => [job, status, code]),
      [
        ['scripted', 'refused', 'JOB_FILE'],
        ['scripted', 'refused', 'JOB_FILE'],
      ],
    );
    assert.match(entries[0]!.businessDate!, /^\d{4}-\d\d-\d\d$/);
    assert.match(entries[1]!.reason!, /CRM_TOKEN/);
    assert.deepEqual([entries[1]!.businessDate, entries[1]!.trigger], ['2026-01-02', 'cron']);
  });

  test('a rerun that is refused is one, and prune forgets old ones', async (t) => {
    const { night, server, run } = await twoContracts(t);
    server.answerWith(listAndLookUp(records, (key) => (key === 'A' ? { id: key } : undefined)));
    assert.equal((await run('--date', '2026-01-01')).exitCode, 3);
    await night.query('ALTER TABLE contracts DROP COLUMN name');
    const rerun = await night.nightfill('rerun', 'latest', '--report', 'report.json');
    assert.equal(rerun.exitCode, 2, rerun.stderr);
    const [entry] = await runsOf(night);
    assert.deepEqual([entry!.status, entry!.businessDate], ['refused', '2026-01-01']);
    await night.query(`UPDATE nightfill.refused_start SET refused_at = now() - interval '500 days'`);
    const pruned = await night.nightfill('prune', '--keep', '400d');
    assert.equal(pruned.stdout, 'forgot 0 plans of 0 business dates with 0 runs and 1 refused start\n');
    assert.equal((await runsOf(night)).length, 1);
  });
});

describe('a run that is running', { concurrency: true }, () => {
  const silent = async (database: Database): Promise<string | null> =>
    (await readHistory(database, { limit: 1 }))[0]!.noHeartbeatSince;

  async function running(t: TestContext) {
    const night = await startNight(t);
    const { database } = night;
    const [seeded] = await seedNights(database, { contracts: 1, date: '2026-11-20' });
    await database.query(`UPDATE nightfill.run SET status = 'running', exit_code = NULL, finished_at = NULL`);
    await database.query(`UPDATE nightfill.chunk_attempt SET finished_at = '2026-11-21T02:14:05Z'`);
    const { host, processId, processBorn } = thisProcess();
    const lease = async (o: { run?: string; process?: number; expires?: string }): Promise<void> => {
      await database.query('DELETE FROM nightfill.lease');
      await database.query(
        `INSERT INTO nightfill.lease VALUES ('seeded', $1, $2, $3, $4, $5, '2026-11-21T02:15:00Z', now() + $6::interval)`,
        [randomUUID(), o.run ?? seeded!.run, host, o.process ?? processId, processBorn, o.expires ?? '1 min'],
      );
    };
    return { night, database, lease };
  }

  test('has a heartbeat while it holds its lease, and says since when it has none once that is gone', async (t) => {
    const { night, database, lease } = await running(t);
    const stopped = '2026-11-21T02:14:05.000Z';
    assert.equal(await silent(database), stopped, 'no lease at all');
    await lease({ run: randomUUID() });
    assert.equal(await silent(database), stopped, "another's lease");
    await lease({ expires: '-1 s' });
    assert.equal(await silent(database), '2026-11-21T02:15:00.000Z', 'a lease that has run out');
    await lease({ process: 2 ** 22 + 1 });
    assert.equal(await silent(database), '2026-11-21T02:15:00.000Z', 'a process of this machine that is gone');
    const listed = await night.nightfill('runs');
    assert.match(listed.stdout, / running .* no heartbeat since 2026-11-21 02:15:00\n/);
    const shown = await night.nightfill('show');
    assert.match(shown.stdout, /\nstatus +running, no heartbeat since 2026-11-21T02:15:00\.000Z\n/);
    await lease({});
    assert.equal(await silent(database), null, 'alive');
    assert.doesNotMatch((await night.nightfill('show')).stdout, /heartbeat/);
  });
});

describe('a night of many chunks and failures', { concurrency: true }, () => {
  test('show lists the first of them and says how to get all; --json has all', async (t) => {
    const night = await startNight(t);
    await seedNights(night.database, { contracts: 20_004, chunkSize: 200, failedEvery: 2, report: '{"controls":[]}' });
    const shown = await night.nightfill('show');
    assert.ok(shown.stdout.split('\n').length < 130, shown.stdout);
    assert.match(shown.stdout, /\n101 chunks: 101 partial; nightfill show [0-9a-f-]{36} --json has all\n/);
    assert.match(shown.stdout, /\nthe first 50 of 101 chunks with failures\n/);
    assert.match(shown.stdout, /\n10002 failures: 10002 HTTP_404; nightfill show [0-9a-f-]{36} --json has all\n/);
    const json = await night.nightfill('show', '--json');
    const { chunks, failures } = JSON.parse(json.stdout) as {
      chunks: { number: number }[];
      failures: { key: string; chunk: number }[];
    };
    assert.equal(chunks.length, 101);
    assert.equal(new Set(failures.map(({ key }) => key)).size, 10_002);
    assert.ok(failures.every(({ chunk }, index) => chunk >= (failures[index - 1]?.chunk ?? 0)));
  });

  test('show names the controls of the stored report that failed, and those that only warn as such', async (t) => {
    const night = await startNight(t);
    const control = { type: 'sum', delta: '-1.00', tolerance: '0' };
    const controls = [
      { ...control, name: 'sum of amount', currency: 'EUR', expected: '10.00', actual: '9.00', result: 'fail' },
      { ...control, name: 'sum of fees', expected: '5.00', actual: '4.00', severity: 'warn', result: 'fail' },
      { ...control, name: 'sum of taxes', expected: '5.00', actual: '5.00', severity: 'fail', result: 'pass' },
    ];
    await seedNights(night.database, { contracts: 1, report: JSON.stringify({ controls }) });
    const shown = await night.nightfill('show');
    assert.match(
      shown.stdout,
      /\ncontrols\n {2}CONTROL FAILED {2}sum of amount \(EUR\): expected 10\.00, found 9\.00\n {2}CONTROL WARNS {3}sum of fees: expected 5\.00, found 4\.00\n/,
    );
    assert.doesNotMatch(shown.stdout, /taxes/);
    const json = JSON.parse((await night.nightfill('show', '--json')).stdout) as { controls: unknown };
    assert.deepEqual(json.controls, controls);
  });
});

describe('a long history', () => {
  /** By table, rows of the ledger that this session read so far. */
  const readSoFar = async (client: Queryable): Promise<Map<string, number>> => {
    const { rows } = await client.query<{ table: string; read: number }>(
      `SELECT relname AS table, (seq_tup_read + coalesce(idx_tup_fetch, 0))::integer AS read
       FROM pg_stat_xact_user_tables WHERE schemaname = 'nightfill'`,
    );
    return new Map(rows.map(({ table, read }) => [table, read]));
  };

  test('costs runs, show, plan and rerun no more than a short one', async (t) => {
    const { database } = await createDatabase(t);
    const phases = { listMs: 1, enrichMs: 1, loadMs: 1 };
    const figures = { apis: [{ name: 'crm', latencyMs: { p50: 10 } }], tasks: [], phases };
    const [latest] = await seedNights(database, { nights: 500, contracts: 1, figures });
    await database.query('ANALYZE');
    const job = { name: 'seeded', commit: 'run', lookups: [] as Job['lookups'], apis: {} } as Job;
    const work: Record<string, (client: Queryable) => Promise<unknown>> = {
      runs: async (client) => readHistory(client, { limit: 5 }),
      'runs of a job': async (client) => readHistory(client, { limit: 5, job: 'seeded' }),
      'show latest': async (client) => findRun(client, { run: 'latest' }),
      'rerun latest': async (client) => findRun(client, { run: 'latest', job: 'seeded' }),
      'show by id': async (client) => findRun(client, { run: latest!.run.slice(0, 13) }),
      plan: async (client) =>
        readNightLedger(Object.assign(client, { description: '' }), {
          job,
          businessDate: '2026-11-21',
        }),
    };
    for (const [name, read] of Object.entries(work))
      await database.withTransaction(async (client) => {
        const before = await readSoFar(client);
        await read(client);
        for (const [table, all] of await readSoFar(client)) {
          const rows = all - (before.get(table) ?? 0);
          assert.ok(rows <= 100, `${name} read ${rows} rows of ${table}`);
        }
      });
  });
});
