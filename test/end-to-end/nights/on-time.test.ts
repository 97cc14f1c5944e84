import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Night } from '../../support/night.ts';
import { scriptedNight } from '../../support/scripted-job.ts';
import { simulatedJob, simulatedNight } from '../../support/simulated-job.ts';

/** Runs the night's job for one date, in this process. */
const runIn =
  (night: Night) =>
  async (...options: string[]) =>
    night.nightfill('run', 'job.yaml', '--date', '2026-03-01', '--report', 'report.json', ...options);

/** 300 contracts, each with one request at the usage API; `run` runs the job as one with the rate there. */
async function threeHundred(t: TestContext) {
  const { simulator, night } = await simulatedNight(t, {
    simulator: { contracts: 300, customers: 100, latency: { min: 10, max: 30 } },
  });
  const rated = async (rates: object[]): Promise<void> =>
    night.write(
      'job.yaml',
      simulatedJob(simulator, {
        usage: { limits: { concurrency: 20, rates } },
        lookups: { usage: { query: { month: '{businessMonth}', contract: '{key}' } } },
        chunk: { size: 20 },
      }),
    );
  const run = runIn(night);
  const within = (ms: number): string[] => ['--finish-by', new Date(Date.now() + ms).toISOString()];
  return { simulator, night, rated, run, within };
}

test('a night too long for finishBy loads what fits, ends before it, and the next command finishes', async (t) => {
  const { simulator, night, rated, run, within } = await threeHundred(t);
  // A hundred go at once, and the others surely do not before finishBy, however slow the machine is.
  await rated([{ requests: 100, per: '5m' }]);
  const cut = await run(...within(60_000));
  assert.equal(cut.exitCode, 6, cut.stdout + cut.stderr);
  const { run: ended, counts, chunks, timing, failures } = await night.report('report.json');
  assert.deepEqual([ended.status, timing.met, failures.length], ['stopped', true, 0]);
  assert.ok(ended.finishedAt < timing.finishBy!);
  assert.match(
    ended.reason!,
    /^finishBy \d\d:\d\d \(.*Z\) is too near for another chunk: with the work in progress it would take \d+\.\d s, and \d+\.\d s are left/,
  );
  assert.ok(counts.enriched > 0 && counts.notStarted > 0, JSON.stringify(counts));
  assert.equal(counts.listed, 300, 'the plan is whole');
  for (const { status, reason, advice } of chunks)
    assert.deepEqual(
      [reason, advice],
      status === 'not-started' ? [ended.reason, { action: 'retry-now' }] : [null, null],
    );

  const shown = await night.nightfill('show', 'latest');
  const left = chunks.filter(({ status }) => status === 'not-started').map(({ number }) => number);
  assert.ok(shown.stdout.includes(`not started: chunks ${left[0]}-${left.at(-1)}\n  ${ended.reason}\n`), shown.stdout);
  const listed = await night.nightfill('runs');
  assert.match(listed.stdout, /stopped +6 /);

  const asked = (await simulator.statistics()).crm.statuses[200]!;
  await rated([]);
  const rest = await run();
  assert.equal(rest.exitCode, 0, rest.stdout + rest.stderr);
  const { counts: whole, chunks: all } = await night.report('report.json');
  assert.deepEqual([whole.enriched, whole.notStarted], [300, 0]);
  assert.ok(all.every(({ reason }) => reason === null));
  assert.equal((await simulator.statistics()).crm.statuses[200]! - asked, counts.notStarted, 'nothing is asked twice');
});

test('a night that fits starts everything', async (t) => {
  const { night, rated, run, within } = await threeHundred(t);
  await rated([{ requests: 100, per: '500ms' }]);
  const whole = await run(...within(60_000));
  assert.equal(whole.exitCode, 0, whole.stdout + whole.stderr);
  assert.equal((await night.report('report.json')).timing.met, true);
});

test('a listing too slow for finishBy stops the run, says so, and is gone on with', async (t) => {
  let slow = true;
  const { night } = await scriptedNight(t, {
    script: async ({ url }) => {
      const page = /page=(\d)/.exec(url)?.[1];
      if (page === undefined) return { json: { id: url.split('/').at(-1) } };
      if (page === '2' && slow) await delay(20_000, undefined, { ref: false });
      return { json: { data: page === '3' ? [] : [{ id: `A-${page}` }, { id: `B-${page}` }] } };
    },
    job: { api: { timeout: '30s' }, chunk: { size: 2 }, contracts: { paginate: { type: 'page', param: 'page' } } },
  });
  const run = runIn(night);
  const cut = await run('--finish-by', new Date(Date.now() + 4_000).toISOString());
  assert.equal(cut.exitCode, 6, cut.stdout + cut.stderr);
  const { run: ended, counts } = await night.report('report.json');
  assert.deepEqual([ended.status, counts.enriched], ['stopped', 2]);
  assert.match(ended.reason!, /came before the listing had ended, after 1 pages with 2 new contracts; the next run/);
  slow = false;
  const rest = await run();
  assert.equal(rest.exitCode, 0, rest.stdout + rest.stderr);
  assert.equal((await night.report('report.json')).counts.enriched, 4);
});

test('a deadline that is over is refused before anything is begun', async (t) => {
  const { run, within } = await threeHundred(t);
  const refused = await run(...within(-1_000));
  assert.equal(refused.exitCode, 2);
  assert.match(refused.stderr, /--finish-by .* is in the past, it is .*; name a later time/);
  const wrong = await run('--finish-by', '6 am');
  assert.equal(wrong.exitCode, 2);
});
