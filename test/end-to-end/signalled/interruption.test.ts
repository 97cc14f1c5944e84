import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { assertAllPass, until, type Night, type Running } from '../../support/night.ts';
import { listAndLookUp, scriptedNight } from '../../support/scripted-job.ts';
import { simulatedNight } from '../../support/simulated-job.ts';

const contracts = 100;

/** Slow enough to be met at work: at least two seconds. */
const slow = {
  simulator: { contracts, latency: 40 },
  job: { api: { limits: { concurrency: 2 } }, chunk: { size: 10 } },
};

/** Waits until the run has committed some chunks. */
const someChunks = async (night: Night, running: Running): Promise<void> =>
  until(async () => {
    const committed = await night.query(`SELECT FROM nightfill.chunk WHERE status <> 'not-started'`).catch(() => []);
    return committed.length >= 2;
  }, running.ended);

const loadedKeys = async (night: Night): Promise<string[]> =>
  (await night.query<{ key: string }>('SELECT contract_id AS key FROM enriched ORDER BY 1')).map(({ key }) => key);

async function assertWholeNight(night: Night): Promise<void> {
  assert.equal((await loadedKeys(night)).length, contracts);
  const { counts, chunks, controls, failures } = await night.report();
  assert.deepEqual([counts.listed, counts.enriched, counts.notStarted, counts.failed], [contracts, contracts, 0, 0]);
  assert(chunks.every(({ status }) => status === 'succeeded'));
  assertAllPass(controls);
  assert.deepEqual(failures, []);
}

describe('a run that is not let alone', { concurrency: 3 }, () => {
  test('of two runs of one job at one instant one works; the other says so, or skips', async (t) => {
    const keys = Array.from({ length: 20 }, (_, index) => `c${index}`);
    const ordinary = listAndLookUp(keys.map((id) => ({ id })));
    const gate = Promise.withResolvers<void>();
    t.after(() => gate.resolve());
    const { server, night } = await scriptedNight(t, {
      async script(request) {
        if (request.url !== '/contracts') await gate.promise;
        return ordinary(request);
      },
      job: { api: { timeout: '90s' } },
    });
    const both = ['one.json', 'other.json'].map(async (file) => night.nightfill('run', 'job.yaml', '--report', file));
    await until(() => server.requests.length > 1, Promise.all(both));
    const skipped = await night.nightfill('run', 'job.yaml', '--if-running', 'skip');
    assert.equal(skipped.exitCode, 0);
    assert.match(skipped.stderr, /another run of scripted is at work.*skipped/);
    const refused = await Promise.race(both);
    assert.equal(refused.exitCode, 5, refused.stderr);
    assert.match(refused.stderr, /another run of scripted is at work \(run [0-9a-f-]{36}, process \d+ on \S+\)/);
    gate.resolve();
    const ended = await Promise.all(both);
    assert.deepEqual(new Set(ended.map(({ exitCode }) => exitCode)), new Set([0, 5]));
    assert.equal(server.requests.length, 1 + keys.length, 'nothing is asked for twice');
    assert.equal((await night.query('SELECT FROM contracts')).length, keys.length);
  });

  for (const [signal, exitCode] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    test(`${signal} lets what is in flight end, keeps what is committed, and run goes on from there`, async (t) => {
      const { simulator, night } = await simulatedNight(t, slow);
      const running = night.startProcess('run', 'job.yaml');
      await someChunks(night, running);
      running.signal(signal);
      const stopped = await running.ended;
      assert.deepEqual([stopped.exitCode, stopped.signal], [exitCode, null], stopped.stderr);
      const { run, counts } = await night.report();
      assert.deepEqual([run.status, run.exitCode], ['stopped', exitCode]);
      const loaded = await loadedKeys(night);
      assert.equal(loaded.length, counts.enriched);
      assert(counts.notStarted > 0 && loaded.length > 0);
      assert.equal(counts.enriched + counts.notStarted + counts.failed, counts.listed);

      await simulator.reset();
      const again = await night.nightfill('run', 'job.yaml');
      assert.equal(again.exitCode, 0, again.stderr);
      const { crm } = await simulator.statistics();
      assert.equal(crm.records.requests, contracts - loaded.length, 'a committed contract is not asked for again');
      await assertWholeNight(night);
    });
  }

  test('after SIGKILL the same command takes over at once and finishes the night', async (t) => {
    const { simulator, night } = await simulatedNight(t, slow);
    const running = night.startProcess('run', 'job.yaml');
    await someChunks(night, running);
    running.process.kill('SIGKILL');
    assert.equal((await running.ended).signal, 'SIGKILL');
    const loaded = await loadedKeys(night);
    assert(loaded.length > 0 && loaded.length < contracts);
    const [lease] = await night.query<{ valid: boolean }>('SELECT expires_at > now() AS valid FROM nightfill.lease');
    assert.equal(lease?.valid, true, 'the dead run still holds its lease');

    await simulator.reset();
    const again = await night.nightfill('run', 'job.yaml');
    assert.equal(again.exitCode, 0, again.stderr);
    const { crm } = await simulator.statistics();
    assert.equal(crm.records.requests, contracts - loaded.length);
    await assertWholeNight(night);
    const { attempts, run } = await night.report();
    assert.deepEqual(
      attempts.map(({ mode, status }) => `${mode} ${status}`),
      ['normal crashed', 'continue succeeded'],
    );
    assert.equal(run.mode, 'continue');
  });

  test('a second SIGINT ends at once what would still be waited for', async (t) => {
    // Sooner or later every request in flight hangs.
    const { simulator, night } = await simulatedNight(t, {
      simulator: { contracts, faults: { hanging: 0.2 } },
      job: { api: { limits: { concurrency: 4 }, timeout: '10m' }, chunk: { size: 10 } },
    });
    const running = night.startProcess('run', 'job.yaml');
    await until(async () => (await simulator.statistics()).crm.faults.hanging === 4, running.ended);
    running.signal('SIGINT');
    await until(() => running.output().stderr.includes('a second signal'), running.ended);
    running.signal('SIGINT');
    const stopped = await running.ended;
    assert.equal(stopped.exitCode, 130, stopped.stderr);
    assert.deepEqual(await night.query('SELECT status, exit_code AS code FROM nightfill.run'), [
      { status: 'stopped', code: 130 },
    ]);
    assert.deepEqual(await night.query('SELECT FROM nightfill.lease'), []);
  });
});
