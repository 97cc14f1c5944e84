import { test } from 'node:test';
import assert from 'node:assert/strict';
import { simulatedNight } from '../../support/simulated-job.ts';

test('when an API is dead its last known values are taken, told with their age and money, and it is not hammered', async (t) => {
  const contracts = 300;
  const { simulator, night } = await simulatedNight(t, {
    simulator: { contracts, customers: contracts },
    job: {
      lookups: { usage: { onFailure: 'last-known', maxAge: '48h' } },
      usage: {
        retry: { attempts: 2, baseDelay: '5ms', maxElapsed: '1s' },
        breaker: { failures: 5, openFor: '1s', trials: 1 },
      },
      chunk: { size: 100 },
    },
  });
  const first = await night.nightfill('run', 'job.yaml', '--date', '2026-11-20');
  assert.equal(first.exitCode, 0, first.stderr);
  const stored = await night.query<{ row: string }>('SELECT enriched::text AS row FROM enriched ORDER BY contract_id');
  const [{ asOf }] = (await night.query<{ asOf: string }>(
    `SELECT to_char(min(as_of) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "asOf" FROM nightfill.last_known`,
  )) as [{ asOf: string }];

  await simulator.setFaults({}, { dead: 1 });
  await simulator.reset();
  const second = await night.nightfill('run', 'job.yaml', '--date', '2026-11-21');
  assert.equal(second.exitCode, 0, second.stdout + second.stderr);
  const { usage } = await simulator.statistics();
  assert(usage.requests < contracts / 2, `${usage.requests} requests to a dead API for ${contracts} contracts`);

  const { counts, stale, amounts, apis } = await night.report('reports/simulated-2026-11-21.json');
  assert.deepEqual([counts.listed, counts.enriched, counts.degraded, counts.failed], [contracts, 0, contracts, 0]);
  assert.deepEqual(
    stale.map(({ lookup, contracts: number, oldestAsOf }) => ({ lookup, number, oldestAsOf })),
    [{ lookup: 'usage', number: contracts, oldestAsOf: asOf }],
  );
  assert.deepEqual(
    stale[0]!.amounts.map(({ currency, amount }) => [currency, amount]),
    amounts.map(({ currency, loaded }) => [currency, loaded]),
  );
  const money = amounts.map(({ column, currency, loaded }) => `${column} ${currency} ${loaded}`).join(', ');
  assert(
    second.stdout.includes(
      `\n  degraded   ${contracts} contracts stand on last known values of usage, the oldest of ${asOf}: ${money}\n`,
    ),
    second.stdout,
  );
  assert((apis.find(({ name }) => name === 'usage')?.breaker.opened ?? 0) > 0);
  assert.deepEqual(await night.query('SELECT enriched::text AS row FROM enriched ORDER BY contract_id'), stored);

  await simulator.setFaults({}, {});
  const third = await night.nightfill('run', 'job.yaml', '--date', '2026-11-22');
  assert.equal(third.exitCode, 0, third.stderr);
  assert.deepEqual((await night.report('reports/simulated-2026-11-22.json')).stale, []);
});

test('a last known value older than maxAge is not taken: the contract fails', async (t) => {
  const { simulator, night } = await simulatedNight(t, {
    simulator: { contracts: 10 },
    job: {
      lookups: { usage: { onFailure: 'last-known', maxAge: '1h' } },
      usage: { retry: { attempts: 1 }, breaker: { failures: 1_000 } },
    },
  });
  assert.equal((await night.nightfill('run', 'job.yaml')).exitCode, 0);
  await night.query(`UPDATE nightfill.last_known SET as_of = as_of - interval '61 minutes' WHERE key = 'CT-0000003'`);
  await simulator.setFaults({}, { dead: 1 });
  assert.equal((await night.nightfill('run', 'job.yaml', '--again')).exitCode, 3);
  const { counts, failures } = await night.report();
  assert.deepEqual([counts.degraded, counts.failed], [9, 1]);
  assert.deepEqual(
    failures.map(({ key, lookup, code }) => ({ key, lookup, code })),
    [{ key: 'CT-0000003', lookup: 'usage', code: 'HTTP_500' }],
  );
});
