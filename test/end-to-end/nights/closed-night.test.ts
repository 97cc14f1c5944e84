import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { loadJob, rerunJob, runJob } from '../../../src/index.ts';
import { listAndLookUp, scriptedJob, scriptedNight, scriptedToken } from '../../support/scripted-job.ts';

const date = '2026-01-05';

/** A night of two contracts that has come to its end. */
async function closed(t: TestContext) {
  const { night, server } = await scriptedNight(t, { script: listAndLookUp([{ id: 'a' }, { id: 'b' }]) });
  const report = ['--report', 'report.json'];
  const run = async (...words: string[]) => night.nightfill('run', 'job.yaml', '--date', date, ...report, ...words);
  const rerun = async (...words: string[]) => night.nightfill('rerun', ...words, ...report);
  const first = await run();
  assert.equal(first.exitCode, 0, first.stdout + first.stderr);
  return { night, server, run, rerun };
}

describe('a closed night that is called again', { concurrency: true }, () => {
  test('is refused once the job file names another table or key, by run as by rerun', async (t) => {
    const { night, server, run, rerun } = await closed(t);
    const { load } = scriptedJob(server.origin) as { load: object };
    for (const change of [{ table: 'others' }, { key: ['name'] }]) {
      await night.write('job.yaml', scriptedJob(server.origin, { load: { ...load, ...change } }));
      for (const refused of [await run(), await rerun()]) {
        assert.equal(refused.exitCode, 2, refused.stdout);
        assert.match(refused.stderr, /loads public\.contracts by \(id\), and .* now says /);
        assert.doesNotMatch(refused.stdout, /nothing to do/);
      }
    }
    assert.equal((await night.query(`SELECT FROM pg_class WHERE relname = 'others'`)).length, 0);
  });

  test('is refused when the table is gone with its rows, by run as by rerun, until it is planned anew', async (t) => {
    const { night, run, rerun } = await closed(t);
    await night.query('DROP TABLE contracts');
    for (const refused of [await run(), await rerun(), await rerun('--whole-chunks')]) {
      assert.equal(refused.exitCode, 2, refused.stdout);
      assert.match(refused.stderr, /public\.contracts no longer exists, so the rows .* run --again/);
    }
    assert.equal((await run('--again')).exitCode, 0);
    assert.match((await run()).stdout, /nothing to do/);
  });

  test('tells a program its verdict, as it tells the command line', async (t) => {
    const { night, run } = await closed(t);
    const { database } = night;
    const loaded = await loadJob('job.yaml', { directory: night.folder, environment: { CRM_TOKEN: scriptedToken } });
    const green = await runJob(loaded, { database, businessDate: date });
    assert.ok('nothingToDo' in green);
    assert.deepEqual([green.exitCode, green.controls], [0, []]);

    const failed = { name: 'a total', type: 'sum', severity: 'fail', result: 'fail', expected: '1.00', actual: '0.00' };
    await night.query(
      `UPDATE nightfill.report SET body = jsonb_set(jsonb_set(body::jsonb, '{run,exitCode}', '4'), '{controls,0}', $1)::text`,
      [JSON.stringify(failed)],
    );
    for (const red of [await runJob(loaded, { database, businessDate: date }), await rerunJob(loaded, { database })]) {
      assert.ok('nothingToDo' in red);
      assert.equal(red.exitCode, 4);
      assert.deepEqual(
        red.controls.map(({ name }) => name),
        ['a total'],
      );
    }
    const called = await run();
    assert.deepEqual([called.exitCode, called.stdout.includes('CONTROL FAILED  a total')], [4, true], called.stdout);
  });
});
