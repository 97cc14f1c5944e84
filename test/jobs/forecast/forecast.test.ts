import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forecastApi, rateThatFits } from '../../../src/jobs/forecast/forecast.ts';

const limits = { concurrency: 50, rates: [{ requests: 100, per: 1_000 }] };

test('the earliest legal finish of 10,000 requests at 100 per second and 100 ms is 99.1 s', () => {
  const forecast = forecastApi({ name: 'crm', limits }, { requests: 10_000, latencyMs: 100 });
  assert.equal(forecast.shortestMs, 99_100);
  assert.equal(forecast.decidedBy, '100 requests per 1 s');
  assert.equal(forecast.concurrencyNeeded, 10);
});

test('the semaphore decides when it is smaller than rate times latency', () => {
  const forecast = forecastApi(
    { name: 'crm', limits: { ...limits, concurrency: 5 } },
    { requests: 1_000, latencyMs: 100 },
  );
  assert.equal(forecast.shortestMs, 20_000);
  assert.equal(forecast.decidedBy, '5 in flight at 100 ms each');
});

test('nothing to ask takes no time, and no rate is needed for it', () => {
  assert.equal(forecastApi({ name: 'crm', limits }, { requests: 0, latencyMs: 100 }).shortestMs, 0);
  assert.equal(
    forecastApi({ name: 'crm', limits: { ...limits, rates: [] } }, { requests: 5, latencyMs: 1 }).concurrencyNeeded,
    0,
  );
});

test('the rate that fits is rounded up, and none fits into no time', () => {
  assert.equal(rateThatFits(10_001, 100_000), 101);
  assert.equal(rateThatFits(1, 0), Infinity);
});
