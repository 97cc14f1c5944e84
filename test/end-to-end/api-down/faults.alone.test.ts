import { test } from 'node:test';
import assert from 'node:assert/strict';
import { simulatedNight } from '../../support/simulated-job.ts';

const attempts = 2;
const faults = {
  dead: 0.05,
  missing: 0.05,
  flaky: 0.1,
  hanging: 0.06,
  malformed: 0.12,
  truncated: 0.12,
  reset: 0.4,
  dripping: 0.06,
  html: 0.4,
};
const codeOf = {
  HTTP_404: 'missing',
  HTTP_500: 'dead',
  HTTP_503: 'flaky',
  TIMEOUT: 'hanging or dripping',
  RESPONSE_MALFORMED: 'malformed',
  RESPONSE_TRUNCATED: 'truncated',
  CONNECTION_RESET: 'reset',
  RESPONSE_NOT_JSON: 'html',
};

test('a night with every kind of fault at once ends by itself, and a rerun mends just what failed', async (t) => {
  const { simulator, night } = await simulatedNight(t, {
    simulator: { contracts: 200, seed: 7, faults },
    // Long enough that nothing but what hangs or drips takes longer, also on a busy machine.
    job: { api: { timeout: '2500ms', retry: { attempts, baseDelay: '5ms' }, limits: { concurrency: 50 } } },
  });
  const run = await night.nightfill('run', 'job.yaml');
  assert.equal(run.exitCode, 3, run.stderr);
  const { counts, failures, amounts, controls } = await night.report();
  const { crm, usage } = await simulator.statistics();

  assert.equal(counts.listed, 200);
  assert.equal(counts.enriched + counts.degraded + counts.failed + counts.notStarted, counts.listed);
  assert.equal(counts.notStarted, 0);
  assert.equal(failures.length, counts.failed);
  const [{ rows }] = (await night.query<{ rows: number }>('SELECT count(*)::integer AS rows FROM enriched')) as [
    { rows: number },
  ];
  assert.equal(rows, counts.enriched);
  for (const { variance } of amounts) assert.equal(Number(variance), 0);
  assert(controls.every(({ result }) => result !== 'fail'));

  const found = new Set(failures.map(({ code }) => code));
  for (const code of [
    'HTTP_404',
    'HTTP_500',
    'TIMEOUT',
    'RESPONSE_MALFORMED',
    'RESPONSE_TRUNCATED',
    'CONNECTION_RESET',
    'RESPONSE_NOT_JSON',
  ])
    assert(found.has(code), `no contract failed with ${code}: ${[...found].join(', ')}`);
  for (const { code } of failures) assert(Object.hasOwn(codeOf, code), `an unexpected code ${code}`);

  const missing = failures.filter(({ code }) => code === 'HTTP_404');
  assert.equal(crm.faults.missing, missing.length, 'a record that is not there is asked for once');
  assert(missing.every((failure) => failure.attempts === 1 && failure.class === 'data'));
  const dead = failures.filter(({ code, api }) => code === 'HTTP_500' && api === 'crm');
  // In its turn, and a single time more as the second chance of what failed for a transient cause.
  assert(dead.length > 0 && dead.every((failure) => failure.attempts === attempts + 1));
  assert.equal(crm.faults.dead, (attempts + 1) * dead.length);
  assert.equal(usage.faults.dead ?? 0, 0);

  await simulator.setFaults({});
  await simulator.reset();
  const rerun = await night.nightfill('rerun', 'latest');
  assert.equal(rerun.exitCode, 0, rerun.stderr);
  const after = await simulator.statistics();
  assert.equal(after.crm.listing.requests, 0);
  assert.deepEqual(
    { requests: after.crm.records.requests, paths: after.crm.records.paths, most: after.crm.records.most },
    { requests: counts.failed, paths: counts.failed, most: 1 },
  );
  const merged = await night.report();
  assert.deepEqual(
    merged.attempts.map(({ mode, exitCode, contracts, loaded }) => ({ mode, exitCode, contracts, loaded })),
    [
      { mode: 'normal', exitCode: 3, contracts: 200, loaded: counts.enriched },
      { mode: 'rerun', exitCode: 0, contracts: counts.failed, loaded: counts.failed },
    ],
  );
  assert.equal(merged.run.status, 'succeeded');
  assert.deepEqual(merged.failures, []);
  assert.equal(merged.counts.enriched, 200);
  for (const { listed, loaded } of merged.amounts) assert.equal(loaded, listed);
});
