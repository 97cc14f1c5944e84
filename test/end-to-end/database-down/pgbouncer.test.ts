import { describe, test, type TestContext } from 'node:test';
import assert from 'node:assert/strict';
import pg from 'pg';
import type { Simulator } from '../../../src/simulator/simulator.ts';
import { assertAllPass, until, type Night, type Running } from '../../support/night.ts';
import { pgbouncerMissing, startPgbouncer, type Pgbouncer } from '../../support/pgbouncer.ts';
import { startCluster } from '../../support/cluster.ts';
import * as slow from '../../support/slow-night.ts';
import { simulatedNight } from '../../support/simulated-job.ts';

const contracts = 100;
const job = { api: { limits: { concurrency: 5 } }, chunk: { size: 10 } };

interface PooledNight {
  simulator: Simulator;
  night: Night;
  pool: Pgbouncer;
}

/** A night whose command line reaches its database through PgBouncer in transaction mode, and whose test does not. */
async function pooledNight(
  t: TestContext,
  { latency = 0, settings = {} }: { latency?: number; settings?: Record<string, string | number> } = {},
): Promise<PooledNight> {
  reference ??= undisturbed(t);
  await reference;
  const { simulator, night } = await simulatedNight(t, { simulator: { contracts, latency }, job });
  const pool = await startPgbouncer(t, night.databaseUrl, settings);
  night.environment['DATABASE_URL'] = pool.url;
  return { simulator, night, pool };
}

const rowsOf = async (night: Night): Promise<object[]> => night.query('SELECT * FROM enriched ORDER BY contract_id');

let reference: Promise<object[]> | undefined;

/** The rows of a night that reaches its database directly and is let alone. */
async function undisturbed(t: TestContext): Promise<object[]> {
  const { night } = await simulatedNight(t, { simulator: { contracts }, job });
  const { exitCode, stderr } = await night.nightfill('run', 'job.yaml');
  assert.equal(exitCode, 0, stderr);
  return rowsOf(night);
}

const someChunks = async (night: Night, running: Running): Promise<void> =>
  until(async () => {
    const committed = await night.query(`SELECT FROM nightfill.chunk WHERE status <> 'not-started'`).catch(() => []);
    return committed.length >= 2;
  }, running.ended);

async function assertWholeNight(night: Night): Promise<void> {
  assert.deepEqual(await rowsOf(night), await reference);
  const { counts, controls, failures, amounts } = await night.report();
  assert.deepEqual([counts.listed, counts.enriched, counts.notStarted, counts.failed], [contracts, contracts, 0, 0]);
  assertAllPass(controls);
  assert.deepEqual(failures, []);
  assert(amounts.every(({ variance }) => Number(variance) === 0));
  assert.deepEqual(await night.query('SELECT FROM nightfill.lease'), []);
}

/** A client that has the server's connection, however often its own wait for it is cut short. */
async function begun(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('BEGIN');
    return client;
  } catch (error) {
    await client.end();
    if (!/query_wait_timeout/.test((error as Error).message)) throw error;
    return begun(url);
  }
}

describe('through PgBouncer in transaction mode', { concurrency: 4, skip: pgbouncerMissing() }, () => {
  test('migrate, check, plan, run, runs, show, report and prune do what they do without it', async (t) => {
    const { night } = await pooledNight(t);
    for (const [command, ...rest] of [
      ['migrate'],
      ['check', 'job.yaml'],
      ['plan', 'job.yaml'],
      ['run', 'job.yaml'],
      ['runs'],
      ['show'],
      ['report'],
      ['prune', '--keep', '400d'],
      ['run', 'job.yaml'],
      ['rerun'],
    ] as const) {
      const { exitCode, stderr } = await night.nightfill(command, ...rest);
      assert.equal(exitCode, 0, `${command}: ${stderr}`);
    }
    await assertWholeNight(night);
  });

  test('a single connection is enough, to the server and from us', async (t) => {
    const { night } = await pooledNight(t, { settings: { default_pool_size: 1, max_client_conn: 1 } });
    const { exitCode, stderr } = await night.nightfill('run', 'job.yaml');
    assert.equal(exitCode, 0, stderr);
    assert.doesNotMatch(stderr, /asked again/, 'it waits for the one it has');
    await assertWholeNight(night);
  });

  test('of several runs at one instant one works, and each contract is asked for once', async (t) => {
    const { simulator, night } = await pooledNight(t, { latency: 20 });
    const runs = await Promise.all(
      [1, 2, 3].map(async (number) => night.nightfill('run', 'job.yaml', '--report', `reports/${number}.txt`)),
    );
    const worked = runs.filter(({ exitCode }) => exitCode === 0);
    assert.equal(worked.length, 1, runs.map(({ stderr }) => stderr).join('\n'));
    for (const { exitCode, stderr } of runs)
      if (exitCode !== 0)
        assert.match(stderr, /another run of simulated is at work \(run [0-9a-f-]{36}, process \d+ on \S+\)/);
    const { crm } = await simulator.statistics();
    assert.equal(crm.records.requests, contracts);
    assert.deepEqual(await rowsOf(night), await reference);
  });

  test('after SIGKILL the same command finishes the night', async (t) => {
    const { simulator, night } = await pooledNight(t, { latency: 40 });
    const running = night.startProcess('run', 'job.yaml');
    await someChunks(night, running);
    running.process.kill('SIGKILL');
    await running.ended;
    const loaded = (await rowsOf(night)).length;
    assert(loaded > 0 && loaded < contracts);
    await simulator.reset();
    const again = await night.nightfill('run', 'job.yaml');
    assert.equal(again.exitCode, 0, again.stderr);
    assert.equal((await simulator.statistics()).crm.records.requests, contracts - loaded);
    await assertWholeNight(night);
  });

  test('PgBouncer killed in the middle and started again costs a run nothing', async (t) => {
    const { simulator, night, pool } = await pooledNight(t, { latency: 40 });
    const running = night.start('run', 'job.yaml');
    await someChunks(night, running);
    await pool.kill();
    await pool.start();
    const { exitCode, stderr } = await running.ended;
    assert.equal(exitCode, 0, stderr);
    assert.equal((await simulator.statistics()).crm.records.requests, contracts);
    await assertWholeNight(night);
  });

  test('waits for a server connection that PgBouncer cuts short are repeated', async (t) => {
    const { night, pool } = await pooledNight(t, {
      latency: 60,
      settings: { default_pool_size: 1, query_wait_timeout: 1 },
    });
    const running = night.start('run', 'job.yaml');
    await someChunks(night, running);
    const client = await begun(pool.url);
    // The only connection is ours until a chunk has been told that it waited too long.
    await until(() => running.output().stderr.includes('query_wait_timeout'), running.ended);
    await client.query('COMMIT');
    await client.end();
    const { exitCode, stderr } = await running.ended;
    assert.equal(exitCode, 0, stderr);
    await assertWholeNight(night);
  });

  test('Postgres killed behind it in the middle, and started again, costs a run nothing', async (t) => {
    await using server = await startCluster({ settings: { synchronous_commit: 'on' } });
    const pool = await startPgbouncer(t, server.url, { server_login_retry: 1 });
    const { simulator, night } = await slow.slowNight(t, { databaseUrl: pool.url });
    const running = night.start('run', 'job.yaml');
    await slow.someChunks(server.url, running);
    await server.kill();
    await until(() => running.output().stderr.includes('Postgres is asked again'), running.ended);
    await server.start();
    const { exitCode, stderr } = await running.ended;
    assert.equal(exitCode, 0, stderr);
    assert.deepEqual(await slow.targetRows(server.url), await slow.undisturbedRows(t));
    assert.equal((await simulator.statistics()).crm.records.requests, slow.contracts, 'nothing is fetched twice');
  });

  test('options that it refuses at the start are named', async (t) => {
    const { night } = await pooledNight(t);
    night.environment['DATABASE_URL'] += '?options=-c%20search_path%3Dpublic';
    const { exitCode, stderr } = await night.nightfill('run', 'job.yaml');
    assert.equal(exitCode, 2);
    assert.match(stderr, /PgBouncer takes no options at the start.*leave options and PGOPTIONS out/);
  });
});
