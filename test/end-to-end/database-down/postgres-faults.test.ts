import { describe, test, type TestContext } from 'node:test';
import assert from 'node:assert/strict';
import pg from 'pg';
import { execute, rowsOf, untilRows } from '../../support/database.ts';
import { until, type Night, type Running } from '../../support/night.ts';
import { simulatedNight } from '../../support/simulated-job.ts';
import {
  assertSentence,
  contracts,
  loadedKeys,
  slowNight,
  someChunks,
  targetRows,
  undisturbedRows,
} from '../../support/slow-night.ts';

/** Somebody else at work in the same database. */
async function session(t: TestContext, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  t.after(async () => client.end());
  return client;
}

const begin = async (t: TestContext, url: string, ...statements: string[]): Promise<pg.Client> => {
  const client = await session(t, url);
  for (const statement of ['BEGIN', ...statements]) await client.query(statement);
  return client;
};

const isRepeated = async (running: Running): Promise<void> =>
  until(() => running.output().stderr.includes('Postgres is asked again'), running.ended);

/** Resolves with the process of a load once it waits for a lock. */
async function blockedLoad(url: string, running: Running): Promise<number> {
  const blocked = `SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name LIKE 'nightfill%'
      AND query LIKE '%nightfill_load%'`;
  const [found] = await untilRows<{ pid: number }>(url, blocked, { over: running.ended });
  return found!.pid;
}

/** A night whose rows stand in the target already, though not as they should be. */
async function loadedNight(t: TestContext, job: object = {}): Promise<Night> {
  const { night } = await simulatedNight(t, { simulator: { contracts }, job: { chunk: { size: contracts }, ...job } });
  const first = await night.nightfill('run', 'job.yaml', '--date', '2026-11-20');
  assert.equal(first.exitCode, 0, first.stderr);
  await execute(night.databaseUrl, `UPDATE enriched SET customer_name = 'former'`);
  return night;
}

const start = (night: Night): Running => night.start('run', 'job.yaml', '--date', '2026-11-21');

async function assertFinished(
  t: TestContext,
  night: Night,
  running: Running,
  { repeated = true }: { repeated?: boolean } = {},
): Promise<void> {
  const ended = await running.ended;
  assert.equal(ended.exitCode, 0, ended.stderr);
  assert.equal(ended.stderr.includes('Postgres is asked again'), repeated, ended.stderr);
  assert.deepEqual(await targetRows(night.databaseUrl), await undisturbedRows(t));
  const rows = await rowsOf<{ attempts: number }>(
    night.databaseUrl,
    `SELECT attempts FROM nightfill.chunk JOIN nightfill.instance ON id = instance WHERE business_date = '2026-11-21'`,
  );
  assert.deepEqual(rows, [{ attempts: 1 }], 'what was rolled back is no attempt');
}

describe('a chunk that meets a passing fault of Postgres is loaded again', { concurrency: 4 }, () => {
  test('its connection is ended by an administrator', async (t) => {
    const night = await loadedNight(t);
    const other = await begin(t, night.databaseUrl, 'SELECT FROM enriched ORDER BY contract_id LIMIT 1 FOR UPDATE');
    const running = start(night);
    await other.query('SELECT pg_terminate_backend($1)', [await blockedLoad(night.databaseUrl, running)]);
    await isRepeated(running);
    await other.query('COMMIT');
    await assertFinished(t, night, running);
    assert.match(running.output().stderr, /terminating connection due to administrator command/);
  });

  test('its statement is cancelled', async (t) => {
    const night = await loadedNight(t);
    const other = await begin(t, night.databaseUrl, 'SELECT FROM enriched ORDER BY contract_id LIMIT 1 FOR UPDATE');
    const running = start(night);
    await other.query('SELECT pg_cancel_backend($1)', [await blockedLoad(night.databaseUrl, running)]);
    await isRepeated(running);
    await other.query('COMMIT');
    await assertFinished(t, night, running);
    assert.match(running.output().stderr, /canceling statement due to user request/);
  });

  test('it is the victim of a deadlock', async (t) => {
    const night = await loadedNight(t);
    const other = await begin(
      t,
      night.databaseUrl,
      // So that the load looks for the deadlock first.
      `SET LOCAL deadlock_timeout = '10min'`,
      'SELECT FROM enriched ORDER BY contract_id DESC LIMIT 1 FOR UPDATE',
    );
    await execute(
      night.databaseUrl,
      `ALTER DATABASE ${new URL(night.databaseUrl).pathname.slice(1)} SET deadlock_timeout = '4s'`,
    );
    const running = start(night);
    await blockedLoad(night.databaseUrl, running);
    await other.query('SELECT FROM enriched ORDER BY contract_id LIMIT 1 FOR UPDATE');
    await other.query('COMMIT');
    await assertFinished(t, night, running);
    assert.match(running.output().stderr, /deadlock detected/);
  });

  for (const [level, commit] of [
    ['repeatable read', 'run'],
    ['serializable', 'chunk'],
  ] as const)
    test(`what it reads is overtaken, where the role's transactions are ${level}, with commit: ${commit}`, async (t) => {
      const night = await loadedNight(t, { commit });
      const { pathname, username } = new URL(night.databaseUrl);
      const of = `ROLE ${username} IN DATABASE ${pathname.slice(1)}`;
      await execute(night.databaseUrl, `ALTER ${of} SET default_transaction_isolation = '${level}'`);
      const other = await begin(t, night.databaseUrl, `UPDATE enriched SET customer_name = 'overtaken'`);
      const running = start(night);
      await blockedLoad(night.databaseUrl, running);
      // As the run's own heartbeat does.
      await execute(night.databaseUrl, 'UPDATE nightfill.lease SET renewed_at = now()');
      await other.query('COMMIT');
      await assertFinished(t, night, running, { repeated: false });
    });

  test('somebody holds the whole table for longer than a lock is waited for', async (t) => {
    const night = await loadedNight(t);
    const running = start(night);
    // Not before: the run begins by looking at the table.
    const begun = `SELECT FROM nightfill.instance WHERE business_date = '2026-11-21'`;
    await untilRows(night.databaseUrl, begun, { over: running.ended });
    const other = await begin(t, night.databaseUrl, 'LOCK TABLE enriched IN ACCESS EXCLUSIVE MODE');
    await isRepeated(running);
    await other.query('COMMIT');
    await assertFinished(t, night, running);
    assert.match(running.output().stderr, /lock timeout/);
  });
});

test('time limits that are meant for the queries of people do not fail chunks', async (t) => {
  const night = await loadedNight(t);
  const name = new URL(night.databaseUrl).pathname.slice(1);
  await execute(
    night.databaseUrl,
    `ALTER DATABASE ${name} SET statement_timeout = '200ms'`,
    `ALTER DATABASE ${name} SET lock_timeout = '100ms'`,
    `CREATE FUNCTION rest() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END'`,
    `CREATE TRIGGER rest AFTER UPDATE ON enriched EXECUTE FUNCTION rest()`,
  );
  const ended = await start(night).ended;
  assert.equal(ended.exitCode, 0, ended.stderr);
  assert.doesNotMatch(ended.stderr, /Postgres is asked again/);
});

describe('a database that cannot take the night', { concurrency: 4 }, () => {
  test('one that is read-only is named before anything is asked of an API', async (t) => {
    const { simulator, night } = await slowNight(t);
    const name = new URL(night.databaseUrl).pathname.slice(1);
    await execute(night.databaseUrl, `ALTER DATABASE ${name} SET default_transaction_read_only = on`);
    for (const command of ['run', 'check']) {
      const refused = await night.nightfill(command, 'job.yaml');
      assert.equal(refused.exitCode, 2, refused.stderr);
      assert.match(
        refused.stderr + refused.stdout,
        /is read-only, because it is a standby or .*; name the primary instead/,
      );
      if (command === 'check') continue;
      const { crm, usage } = await simulator.statistics();
      assert.deepEqual([crm.requests, usage.requests], [0, 0]);
    }
  });

  test('a role that may have one connection only is enough for a whole night', async (t) => {
    const { night } = await simulatedNight(t, { simulator: { contracts }, schema: false });
    const url = await roleOf(t, night, 'CONNECTION LIMIT 1');
    night.environment['DATABASE_URL'] = url;
    const ended = await night.nightfill('run', 'job.yaml');
    assert.equal(ended.exitCode, 0, ended.stderr);
    assert.doesNotMatch(ended.stderr, /Postgres is asked again/, 'who needs one waits for it to come back');
    assert.deepEqual(await targetRows(url), await undisturbedRows(t));
  });

  test('a role that has no connection left at the start is told so', async (t) => {
    const { simulator, night } = await slowNight(t);
    const url = await roleOf(t, night, 'CONNECTION LIMIT 1');
    await session(t, url);
    night.environment['DATABASE_URL'] = url;
    const refused = await night.nightfill('run', 'job.yaml', '--database-wait', '0s');
    assert.equal(refused.exitCode, 2, refused.stderr);
    assertSentence(refused, /no connection is left for this role \(too many connections for role/);
    assert.equal((await simulator.statistics()).crm.requests, 0);
  });
});

/** An ordinary role that may make what a night needs; its address. */
async function roleOf(t: TestContext, night: Night, options = ''): Promise<string> {
  const url = new URL(night.databaseUrl);
  const name = url.pathname.slice(1);
  const role = `role_${name}`;
  await execute(
    night.databaseUrl,
    `CREATE ROLE ${role} LOGIN PASSWORD 'test' ${options}`,
    `GRANT CREATE, TEMPORARY ON DATABASE ${name} TO ${role}`,
    `GRANT CREATE ON SCHEMA public TO ${role}`,
  );
  const cluster = new URL(url);
  cluster.pathname = '/postgres';
  t.after(async () => execute(cluster.href, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`, `DROP ROLE ${role}`));
  url.username = role;
  return url.href;
}

describe(
  'a target that is taken away during the run ends it, and the rest stays not started',
  { concurrency: 4 },
  () => {
    for (const { how, change, back, sentence } of [
      {
        how: 'its rights are revoked',
        change: (role: string) => `ALTER TABLE enriched OWNER TO CURRENT_USER; GRANT SELECT ON enriched TO ${role}`,
        back: (role: string) => `GRANT ALL ON enriched TO ${role}`,
        sentence: /enriched can no longer be loaded: column contract_id needs the privilege INSERT/,
      },
      {
        how: 'a column has another type',
        change: () => "ALTER TABLE enriched ALTER customer_name TYPE bytea USING convert_to(customer_name, 'UTF8')",
        back: () => "ALTER TABLE enriched ALTER customer_name TYPE text USING convert_from(customer_name, 'UTF8')",
        sentence: /enriched can no longer be loaded: column customer_name/,
      },
      {
        how: 'a column is gone',
        change: () => 'ALTER TABLE enriched RENAME customer_name TO hidden',
        back: () => 'ALTER TABLE enriched RENAME hidden TO customer_name',
        sentence: /enriched can no longer be loaded: .*customer_name/,
      },
      {
        how: 'it is dropped',
        change: () => 'ALTER TABLE enriched RENAME TO hidden',
        back: () => 'ALTER TABLE hidden RENAME TO enriched',
        sentence: /enriched can no longer be loaded: the table is gone/,
      },
    ])
      test(how, async (t) => {
        const { simulator, night } = await slowNight(t, { schema: false });
        const own = night.databaseUrl;
        const url = await roleOf(t, night);
        const role = new URL(url).username;
        night.environment['DATABASE_URL'] = url;
        const running = night.start('run', 'job.yaml');
        await someChunks(own, running);
        await execute(own, change(role));
        const ended = await running.ended;
        assert.equal(ended.exitCode, 1, ended.stderr);
        const { run, counts, failures } = await night.report();
        assert.equal(run.status, 'failed');
        assert.match(run.reason ?? '', sentence);
        assert.deepEqual([failures.length, counts.failed], [0, 0], 'no contract is to blame');
        assert(counts.notStarted > 0 && counts.enriched > 0);

        if (how === 'it is dropped') {
          const refused = await night.nightfill('run', 'job.yaml');
          assert.equal(refused.exitCode, 2, refused.stderr);
          assertSentence(refused, /enriched no longer exists, so the rows that were loaded.*run --again/);
        }
        await execute(own, back(role));
        const loaded = await loadedKeys(own);
        assert.equal(loaded.length, counts.enriched);
        await simulator.reset();
        const again = await night.nightfill('run', 'job.yaml');
        assert.equal(again.exitCode, 0, again.stderr);
        assert.equal((await simulator.statistics()).crm.records.requests, contracts - loaded.length);
        assert.equal((await targetRows(own)).length, contracts);
      });
  },
);

test('rows that constraints, triggers and policies refuse fail alone; the rest is loaded', async (t) => {
  const { night } = await simulatedNight(t, { simulator: { contracts }, job: { chunk: { size: contracts } } });
  const first = await night.nightfill('run', 'job.yaml', '--date', '2026-11-20');
  assert.equal(first.exitCode, 0, first.stderr);
  const own = night.databaseUrl;
  const keys = await loadedKeys(own);
  const [checked, foreign, raised, internal, policed, deferred] = keys;
  await execute(
    own,
    'DELETE FROM enriched',
    `ALTER TABLE enriched ADD CHECK (contract_id <> '${checked}')`,
    'CREATE TABLE known AS SELECT contract_id FROM nightfill.contract, LATERAL (SELECT key AS contract_id) AS named',
    `DELETE FROM known WHERE contract_id IN ('${foreign}', '${deferred}')`,
    'ALTER TABLE known ADD PRIMARY KEY (contract_id)',
    `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       IF NEW.contract_id = '${raised}' THEN RAISE EXCEPTION 'not this one'; END IF;
       IF NEW.contract_id = '${internal}' THEN RAISE EXCEPTION 'as extensions do' USING ERRCODE = 'XX000'; END IF;
       RETURN NEW;
     END $$`,
    'CREATE TRIGGER refuse BEFORE INSERT ON enriched FOR EACH ROW EXECUTE FUNCTION refuse()',
    'ALTER TABLE enriched ADD FOREIGN KEY (contract_id) REFERENCES known DEFERRABLE INITIALLY DEFERRED',
  );
  const url = await roleOf(t, night);
  await execute(
    own,
    `GRANT ALL ON enriched TO PUBLIC; GRANT ALL ON known TO PUBLIC`,
    `GRANT ALL ON SCHEMA nightfill TO PUBLIC; GRANT ALL ON ALL TABLES IN SCHEMA nightfill TO PUBLIC`,
    'ALTER TABLE enriched ENABLE ROW LEVEL SECURITY',
    'CREATE POLICY seen ON enriched FOR SELECT USING (true)',
    'CREATE POLICY changed ON enriched FOR UPDATE USING (true)',
    `CREATE POLICY made ON enriched FOR INSERT WITH CHECK (contract_id <> '${policed}')`,
  );
  night.environment['DATABASE_URL'] = url;
  const ended = await night.nightfill('run', 'job.yaml', '--date', '2026-11-21', '--report', 'reports/second.json');
  assert.equal(ended.exitCode, 3, ended.stderr);
  const { failures, counts } = await night.report('reports/second.json');
  assert.deepEqual(Object.fromEntries(failures.map(({ key, code, stage }) => [key, `${stage} ${code}`])), {
    [checked!]: 'load PG_23514',
    [foreign!]: 'load PG_23503',
    [raised!]: 'load PG_P0001',
    [internal!]: 'load PG_XX000',
    [policed!]: 'load PG_42501',
    [deferred!]: 'load PG_23503',
  });
  assert.equal(counts.enriched, contracts - failures.length);
  assert.deepEqual(await loadedKeys(own), keys.slice(failures.length));
});
