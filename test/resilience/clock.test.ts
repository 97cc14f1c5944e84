import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { systemClock } from '../../src/resilience/clock.ts';

const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;

test('a sleep that ends leaves no listener', async () => {
  const { signal } = new AbortController();
  await systemClock.sleep(1, signal);
  await systemClock.sleep(-5, signal);
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});

test('an aborted sleep rejects with the reason at once, and leaves no timer and no listener', async () => {
  const before = timers();
  const abort = new AbortController();
  const asleep = assert.rejects(systemClock.sleep(60_000, abort.signal), { message: 'wake up' });
  assert.equal(timers(), before + 1);
  abort.abort(new Error('wake up'));
  await asleep;
  assert.equal(timers(), before);
  assert.equal(getEventListeners(abort.signal, 'abort').length, 0);
  await assert.rejects(systemClock.sleep(60_000, abort.signal), { message: 'wake up' });
  assert.equal(timers(), before);
});

test('monotonic time advances, and random numbers are between zero and one', async () => {
  const before = systemClock.now();
  await systemClock.sleep(2);
  assert.ok(systemClock.now() > before);
  assert.ok(Math.abs(systemClock.wallNow() - Date.now()) < 60_000);
  for (let count = 0; count < 100; count += 1) {
    const value = systemClock.random();
    assert.ok(value >= 0 && value < 1);
  }
});
