import { test } from 'node:test';
import assert from 'node:assert/strict';
import { loadJob } from '../../src/config/load-job.ts';

const environment = {
  CRM_URL: 'http://127.0.0.1:4010/',
  CRM_TOKEN: 'crm-hush-hush',
  USAGE_URL: 'http://127.0.0.1:4011/api/',
  USAGE_KEY: 'usage-hush-hush',
};

test('the shipped job file loads', async () => {
  const job = await loadJob('jobs/contract-enrichment.yaml', { environment });
  assert.equal(job.name, 'contract-enrichment');
  assert.equal(job.apis['crm']?.baseUrl, 'http://127.0.0.1:4010');
  assert.equal(job.apis['usage']?.baseUrl, 'http://127.0.0.1:4011/api');
  assert.deepEqual(job.apis['crm']?.limits.rates, [{ requests: 95, per: 1000 }]);
  assert.deepEqual(
    job.lookups.map(({ name, needs, maxAge }) => ({ name, needs, maxAge })),
    [
      { name: 'contract', needs: [], maxAge: Infinity },
      { name: 'usage', needs: ['contract'], maxAge: 48 * 3_600_000 },
    ],
  );
  assert.deepEqual(job.load.columns[4], {
    name: 'usage_units',
    from: ['usage', 'units'],
    type: 'numeric(20,4)',
    default: 0,
  });
  assert.deepEqual(job.controls, [
    { type: 'sum', column: 'annual_value', by: 'currency' },
    { type: 'completeness', atLeast: 1 },
  ]);
  assert.deepEqual(job.contracts.total, { path: ['meta', 'total'] });
  assert.deepEqual(job.failures, { stopAbove: 0.2 });
});
