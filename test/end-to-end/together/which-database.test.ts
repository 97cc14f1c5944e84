import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import type { Night } from '../../support/night.ts';
import { listAndLookUp, scriptedNight } from '../../support/scripted-job.ts';

/** Nothing listens there. */
const elsewhere = 'postgres://someone:hush-hush@127.0.0.1:1/elsewhere';

/** A night whose job pins the night's own database, while the environment names another one. */
async function pinnedNight(t: TestContext, database: unknown = { env: 'WAREHOUSE_URL' }) {
  const { night, server } = await scriptedNight(t, {
    script: listAndLookUp([{ id: 'a' }, { id: 'b' }], (id) => (id === 'b' ? undefined : { id })),
    job: { database },
  });
  const url = night.databaseUrl;
  night.environment['WAREHOUSE_URL'] = url;
  night.environment['DATABASE_URL'] = elsewhere;
  return { night, server, url };
}

const here = async (night: Night, command: string, ...more: string[]) => night.nightfill(command, 'job.yaml', ...more);

const report = ({ folder }: Night) => ['--report', path.join(folder, 'report.json')];

describe('the database that a job file pins', () => {
  test('is where it is checked, planned, run and rerun, whatever else is named', async (t) => {
    const { night, server } = await pinnedNight(t);
    assert.match((await here(night, 'check')).stdout, /ok {4}PostgreSQL at 127\.0\.0\.1:.*will be created/);
    assert.equal((await here(night, 'run', '--trigger', 'cron', ...report(night))).exitCode, 3);
    assert.match((await here(night, 'plan')).stdout, /1 contracts left of 2, 1 loaded/);

    // Without the file nobody knows where to look.
    const lost = await night.nightfill('rerun', 'latest', '--database-wait', '0s', ...report(night));
    assert.equal(lost.exitCode, 2);
    assert.match(lost.stderr, /127\.0\.0\.1:1\/elsewhere/);

    server.answerWith(listAndLookUp([], (id) => ({ id })));
    const job = ['--job', 'job.yaml'];
    const runs = await night.nightfill('runs', ...job);
    assert.match(runs.stdout, /partial/, runs.stderr);
    const rerun = await night.nightfill('rerun', ...job, ...report(night));
    assert.equal(rerun.exitCode, 0, rerun.stderr);
    for (const command of ['show', 'report'])
      assert.match((await night.nightfill(command, 'latest', ...job)).stdout, /rerun/);
    assert.match((await night.nightfill('prune', '--keep', '1d', ...job)).stdout, /forgot 0/);
    assert.match((await night.nightfill('migrate', ...job)).stdout, /up to date/);
    for (const { stdout, stderr } of [lost, runs, rerun]) assert.ok(!(stdout + stderr).includes('hush-hush'));
  });

  test('is told of a start that a variable kept from beginning; when that was its own, nobody is', async (t) => {
    const { night, url } = await pinnedNight(t);
    delete night.environment['CRM_TOKEN'];
    assert.equal((await here(night, 'run', '--trigger', 'cron')).exitCode, 2);
    delete night.environment['WAREHOUSE_URL'];
    night.environment['DATABASE_URL'] = url;
    assert.equal((await here(night, 'run', '--trigger', 'cron')).exitCode, 2);
    const told = await night.query<{ message: string }>('SELECT message FROM nightfill.refused_start');
    assert.equal(told.length, 1);
    assert.match(told[0]!.message, /CRM_TOKEN is not set/);
  });

  test('says so when the run that is to be mended stands in another one', async (t) => {
    const { night, url } = await pinnedNight(t);
    night.environment['DATABASE_URL'] = url;
    await night.write('job.yaml', (await night.read('job.yaml')).replace(/"database": \{[^}]*\},/, ''));
    assert.equal((await here(night, 'run', ...report(night))).exitCode, 3);
    await night.write('job.yaml', { ...JSON.parse(await night.read('job.yaml')), database: { env: 'WAREHOUSE_URL' } });
    // The same database, spelled in another way.
    night.environment['WAREHOUSE_URL'] = `${url}?application_name=other`;
    assert.equal((await night.nightfill('rerun', ...report(night))).exitCode, 3);
    night.environment['WAREHOUSE_URL'] = url.replace(/\/test_[^/]*$/, '/nightfill');
    const refused = await night.nightfill('rerun', ...report(night));
    assert.equal(refused.exitCode, 2, refused.stderr);
    assert.match(refused.stderr, /was found in .*\/test_.*pins its database: .*\/nightfill as.*--job .*job\.yaml/);
  });

  test('is told apart from one that the command line names', async (t) => {
    const { night, server, url } = await pinnedNight(t);
    for (const command of ['run', 'check', 'plan']) {
      const { exitCode, stdout, stderr } = await here(night, command, '--database-url', url);
      assert.match(stdout + stderr, /leave --database-url out/);
      assert.equal(exitCode, 2, command);
    }
    assert.deepEqual(
      server.log.filter((line) => line.includes('/contracts/')),
      [],
    );
    // What a variable says is not looked at.
    night.environment['NIGHTFILL_DATABASE_URL'] = elsewhere;
    assert.equal((await here(night, 'run', ...report(night))).exitCode, 3);
  });
});

describe('an unattended start', () => {
  test('loads nowhere rather than into an embedded database that nobody asked for', async (t) => {
    const { night, server } = await scriptedNight(t, { script: listAndLookUp([{ id: 'a' }]) });
    delete night.environment['DATABASE_URL'];
    for (const trigger of ['cron', 'schedule', 'worker']) {
      const run = await here(night, 'run', '--trigger', trigger, ...report(night));
      assert.equal(run.exitCode, 2);
      assert.match(run.stderr, /no database is named.*WAREHOUSE_URL.*database: embedded/);
    }
    const schedule = await night.nightfill('rerun', 'latest', '--trigger', 'cron');
    assert.equal(schedule.exitCode, 2);
    assert.equal(existsSync(path.join(night.folder, '.nightfill')), false);
    assert.deepEqual(server.log, []);
  });

  test('a schedule that stays up refuses at once what each of its runs would', async (t) => {
    const { night } = await scriptedNight(t, { script: listAndLookUp([]), job: { schedule: '0 4 * * *' } });
    delete night.environment['DATABASE_URL'];
    const schedule = await here(night, 'schedule');
    assert.equal(schedule.exitCode, 2);
    assert.match(schedule.stderr, /no database is named/);
  });
});

test('a command that looks for history makes no embedded database where there is none', async (t) => {
  const { night } = await scriptedNight(t, { script: listAndLookUp([]) });
  delete night.environment['DATABASE_URL'];
  const { exitCode, stderr } = await night.nightfill('rerun', 'latest');
  assert.equal(exitCode, 2);
  assert.match(stderr, /there are no runs here.*--job FILE/);
  assert.equal(existsSync(path.join(night.folder, '.nightfill')), false);
});
