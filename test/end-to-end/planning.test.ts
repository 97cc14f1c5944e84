import { test } from 'node:test';
import assert from 'node:assert/strict';
import { simulatedNight } from '../support/simulated-job.ts';

test('plan says what a night would ask and whether it fits, and writes nothing', async (t) => {
  const { simulator, night } = await simulatedNight(t, {
    simulator: { contracts: 250, customers: 50 },
    job: { crm: { limits: { concurrency: 5, rates: [{ requests: 100, per: '1s' }] } }, finishBy: '23:59' },
  });
  const planned = await night.nightfill('plan', 'job.yaml', '--json');
  assert.equal(planned.exitCode, 0, planned.stderr);
  const forecast = JSON.parse(planned.stdout) as {
    contracts: number;
    fits: boolean | null;
    apis: { api: string; requests: number; decidedBy: string }[];
  };
  assert.equal(forecast.contracts, 250);
  assert.equal(typeof forecast.fits, 'boolean');
  const pages = (await simulator.statistics()).crm.requests;
  const crm = forecast.apis.find(({ api }) => api === 'crm')!;
  assert.deepEqual([crm.requests, crm.decidedBy], [250 + pages, '100 requests per 1 s']);
  assert.equal((await simulator.statistics()).usage.requests, 0, 'lookups are not asked');
  assert.deepEqual(await night.query(`SELECT nspname FROM pg_namespace WHERE nspname = 'nightfill'`), []);
});

test('prune forgets the history of old dates and nothing else', async (t) => {
  const { night } = await simulatedNight(t, { simulator: { contracts: 20 } });
  for (const date of ['2020-01-01', '2020-01-02']) {
    const run = await night.nightfill('run', 'job.yaml', '--date', date);
    assert.equal(run.exitCode, 0, run.stderr);
  }
  const today = new Date().toISOString().slice(0, 10);
  assert.equal((await night.nightfill('run', 'job.yaml', '--date', today)).exitCode, 0);
  const dates = async () =>
    (await night.query<{ date: string }>(`SELECT business_date::text AS date FROM nightfill.instance ORDER BY 1`)).map(
      ({ date }) => date,
    );

  const rehearsed = await night.nightfill('prune', '--keep', '400d', '--dry-run');
  assert.equal(rehearsed.stdout, 'would forget 2 business dates with 2 runs\n', rehearsed.stderr);
  assert.equal((await dates()).length, 3);

  const pruned = await night.nightfill('prune', '--keep', '400d');
  assert.equal(pruned.stdout, 'forgot 2 business dates with 2 runs\n', pruned.stderr);
  assert.deepEqual(await dates(), [today]);
  const left = await night.query(`SELECT count(*)::integer AS rows FROM enriched`);
  assert.deepEqual(left, [{ rows: 20 }]);
  const orphans = await night.query(`SELECT count(*)::integer AS rows FROM nightfill.report`);
  assert.deepEqual(orphans, [{ rows: 1 }]);
});
