import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backoffDelay, type Backoff } from '../../src/resilience/backoff.ts';

const delays = (backoff: Backoff, baseDelay: number, maxDelay = Infinity): number[] =>
  [1, 2, 3, 4, 5].map((retry) => backoffDelay({ backoff, baseDelay, maxDelay, retry }));

test('an exponential backoff doubles', () => {
  assert.deepEqual(delays('exponential', 1000), [1000, 2000, 4000, 8000, 16_000]);
});

test('a linear backoff adds its base', () => {
  assert.deepEqual(delays('linear', 1000), [1000, 2000, 3000, 4000, 5000]);
  assert.deepEqual(delays('linear', 2000), [2000, 4000, 6000, 8000, 10_000]);
});

test('a constant backoff stays', () => {
  assert.deepEqual(delays('constant', 1000), [1000, 1000, 1000, 1000, 1000]);
});

test('no delay is longer than the longest allowed', () => {
  assert.deepEqual(delays('exponential', 1000, 5000), [1000, 2000, 4000, 5000, 5000]);
  assert.equal(backoffDelay({ backoff: 'exponential', baseDelay: 1, maxDelay: 30_000, retry: 5000 }), 30_000);
  assert.equal(backoffDelay({ backoff: 'exponential', baseDelay: 0, maxDelay: 30_000, retry: 5000 }), 0);
});
