import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import type { NightForecast } from '../../../src/jobs/forecast/night-forecast.ts';
import { simulatedCredentials, startSimulator } from '../../../src/simulator/simulator.ts';
import { startNight } from '../../support/night.ts';
import { simulatedJob, simulatedNight } from '../../support/simulated-job.ts';

describe('before and after the nights', { concurrency: 3 }, () => {
  test('plan says what a night would ask and whether it fits, and writes nothing', async (t) => {
    const { simulator, night } = await simulatedNight(t, {
      schema: false,
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

  test('plan knows what is left of a date that was begun, the quota, and how quick the APIs were', async (t) => {
    const { simulator, night } = await simulatedNight(t, {
      schema: false,
      simulator: { contracts: 60, customers: 20, faults: { missing: 0.1 } },
      job: {
        crm: { limits: { concurrency: 5, quota: { requests: 100, reserve: '10%' } } },
        failures: { stopAbove: '99%' },
      },
    });
    const plan = async (...options: string[]) => {
      const ended = await night.nightfill('plan', 'job.yaml', '--date', '2026-03-01', ...options);
      assert.equal(ended.exitCode, 0, ended.stderr);
      return ended.stdout;
    };
    assert.match(
      await plan(),
      /crm: quota left: unknown \(PostgreSQL at .* has no nightfill schema of this version yet\)/,
    );
    assert.deepEqual(await night.query(`SELECT nspname FROM pg_namespace WHERE nspname = 'nightfill'`), []);

    assert.equal((await night.nightfill('run', 'job.yaml', '--date', '2026-03-01')).exitCode, 3);
    const { counts } = await night.report();
    assert.ok(counts.failed > 0);
    const asked = (await simulator.statistics()).crm.requests;
    const forecast = JSON.parse(await plan('--json')) as NightForecast;
    assert.equal((await simulator.statistics()).crm.requests, asked, 'the stored plan is asked, not the listing');
    assert.deepEqual(forecast.instance, {
      status: 'planned',
      planned: 60,
      loaded: counts.enriched,
      left: counts.failed,
    });
    const crm = forecast.apis.find(({ api }) => api === 'crm')!;
    assert.deepEqual([crm.requests, crm.latencyFrom], [counts.failed, 'last run']);
    const [quota] = forecast.quotas;
    assert.ok(quota && !('unknown' in quota));
    // The first plan's one page was kept nowhere.
    const used = asked - 1;
    assert.deepEqual([quota.of, quota.used, quota.reserved, quota.spendable], [100, used, 10, 90 - used]);
    assert.equal(quota.fits, counts.failed <= 90 - used);
    assert.match(await plan(), new RegExp(`${counts.failed} contracts left of 60, ${counts.enriched} loaded`));
    const other = await night.nightfill('plan', 'job.yaml', '--date', '2026-03-02');
    assert.match(other.stdout, /quota left: \d+ of 100 requests .* NOT ENOUGH for tonight: the run would stop/);
  });

  test('plan says with which rate and which concurrency a night would fit', async (t) => {
    const { night } = await simulatedNight(t, {
      simulator: { contracts: 500, customers: 50, latency: { min: 300, max: 300 } },
      job: {
        crm: { limits: { concurrency: 50, rates: [{ requests: 2, per: '1s' }] } },
        usage: { limits: { concurrency: 1 } },
      },
    });
    const soon = new Date(Date.now() + 90_000).toISOString();
    const planned = await night.nightfill('plan', 'job.yaml', '--json', '--finish-by', soon);
    const forecast = JSON.parse(planned.stdout) as NightForecast;
    assert.equal(forecast.fits, false);
    const [rate] = forecast.ratesThatFit;
    const [slots] = forecast.concurrencyThatFits;
    assert.deepEqual([rate?.api, slots?.api], ['crm', 'usage']);
    const requests = (name: string): number => forecast.apis.find(({ api }) => api === name)!.requests;
    const available = forecast.availableMs!;
    assert.ok(rate!.perSecond! * available >= requests('crm') * 1_000, JSON.stringify(forecast));
    const { latencyMs } = forecast.apis.find(({ api }) => api === 'usage')!;
    assert.ok(Math.ceil(requests('usage') / slots!.concurrency!) * latencyMs <= available, JSON.stringify(forecast));
  });

  test('plan makes no embedded database where there is none', async (t) => {
    const simulator = await startSimulator({ contracts: 5 });
    t.after(async () => simulator.close());
    const { crm, usage } = simulatedCredentials;
    const night = await startNight(t, { databaseUrl: null, environment: { CRM_TOKEN: crm, USAGE_KEY: usage } });
    await night.write('job.yaml', simulatedJob(simulator));
    const planned = await night.nightfill('plan', 'job.yaml');
    assert.equal(planned.exitCode, 0, planned.stderr);
    assert.match(
      planned.stdout,
      /what earlier runs did: unknown \(no database is named, and there is no embedded one here yet\)/,
    );
    assert.deepEqual((await readdir(night.folder)).toSorted(), ['job.yaml']);
  });

  test('prune keeps what a run or a comparison may still need, however old', async (t) => {
    const { night } = await simulatedNight(t, { simulator: { contracts: 20, faults: { missing: 0.2 } } });
    for (const date of ['2020-01-01', '2020-01-02', '2020-01-03'])
      assert.equal((await night.nightfill('run', 'job.yaml', '--date', date)).exitCode, 3);
    await night.query(`UPDATE nightfill.instance SET status = 'complete' WHERE business_date = '2020-01-02'`);
    // As a killed run leaves it: running for ever, and its lease over.
    await night.query(`UPDATE nightfill.run SET status = 'running' FROM nightfill.instance
    WHERE instance.id = run.instance AND business_date = '2020-01-01'`);
    const pruned = await night.nightfill('prune', '--keep', '400d');
    assert.equal(
      pruned.stdout,
      'forgot 1 plan of 1 business date with 1 run; 2 as old stay, because a run or a comparison may still need them\n',
    );
    assert.deepEqual(await night.query(`SELECT business_date::text AS date FROM nightfill.instance ORDER BY 1`), [
      { date: '2020-01-02' },
      { date: '2020-01-03' },
    ]);
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
      (
        await night.query<{ date: string }>(`SELECT business_date::text AS date FROM nightfill.instance ORDER BY 1`)
      ).map(({ date }) => date);

    const rehearsed = await night.nightfill('prune', '--keep', '400d', '--dry-run');
    assert.equal(rehearsed.stdout, 'would forget 2 plans of 2 business dates with 2 runs\n', rehearsed.stderr);
    assert.equal((await dates()).length, 3);

    const pruned = await night.nightfill('prune', '--keep', '400d');
    assert.equal(pruned.stdout, 'forgot 2 plans of 2 business dates with 2 runs\n', pruned.stderr);
    assert.deepEqual(await dates(), [today]);
    const left = await night.query(`SELECT count(*)::integer AS rows FROM enriched`);
    assert.deepEqual(left, [{ rows: 20 }]);
    const orphans = await night.query(`SELECT count(*)::integer AS rows FROM nightfill.report`);
    assert.deepEqual(orphans, [{ rows: 1 }]);
  });
});
