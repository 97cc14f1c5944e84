import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UsageError } from '../../src/resilience/failure.ts';
import { type Permit, RollingWindow } from '../../src/resilience/rolling-window.ts';
import { drain } from '../support/drain.ts';
import { FakeClock } from '../support/fake-clock.ts';

test('a window gives as many permits as it has requests, and no more', () => {
  const window = new RollingWindow({ rates: [{ requests: 3, per: 1000 }], clock: new FakeClock() });
  assert.equal(drain(window), 3);
});

test('a permit counts until its request is sent, however long that takes', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 1, per: 1000 }], margin: 0, uplinkSpread: 0, clock });
  const permit = await window.acquire();
  await clock.advance(60_000);
  assert.deepEqual(window.tryAcquire(), { waitMs: 1000 });
  permit.sent();
  await clock.advance(999);
  assert.deepEqual(window.tryAcquire(), { waitMs: 1 });
  await clock.advance(1);
  assert.ok('sent' in window.tryAcquire());
});

test('a permit that was never sent comes back when it is released, once', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 2, per: 1000 }], clock });
  const first = await window.acquire();
  await window.acquire();
  first.release();
  first.release();
  first.sent();
  assert.equal(drain(window), 1);
});

test('a permit that was sent cannot be given back', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 1, per: 1000 }], clock });
  const permit = await window.acquire();
  permit.sent();
  permit.release();
  assert.equal(drain(window), 0);
});

test('before any answer a slot stays blocked for window, margin and the whole spread of the uplink', () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 1, per: 1000 }], margin: 5, uplinkSpread: 0.1, clock });
  drain(window);
  assert.deepEqual(window.tryAcquire(), { waitMs: 1105 });
});

test('once the round-trip time is known, a request of usual speed blocks its slot for window and margin only', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 100, per: 1000 }], margin: 5, clock });
  const permits: Permit[] = await Promise.all(Array.from({ length: 100 }, async () => window.acquire()));
  for (const permit of permits) permit.sent();
  await clock.advance(80);
  for (const permit of permits) permit.answered();
  assert.deepEqual(window.tryAcquire(), { waitMs: 925 });
  await clock.advance(925);
  assert.equal(drain(window), 100);
});

test('a late answer blocks its slot longer by its lateness, up to the spread', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 100, per: 1000 }], margin: 5, uplinkSpread: 0.1, clock });
  const permits: Permit[] = await Promise.all(Array.from({ length: 100 }, async () => window.acquire()));
  for (const permit of permits) permit.sent();
  await clock.advance(80);
  for (const permit of permits.slice(0, 98)) permit.answered();
  await clock.advance(40);
  permits[98]?.answered();
  await clock.advance(500);
  permits[99]?.answered();
  // The spread seen is more than the cap, so the caution costs 100 ms * 12 / 100 answers.
  await clock.advance(1005 + 12 - 620 - 1);
  assert.equal(drain(window), 0);
  await clock.advance(1);
  assert.equal(drain(window), 98);
  await clock.advance(39);
  assert.equal(drain(window), 0);
  await clock.advance(1);
  assert.equal(drain(window), 1);
  await clock.advance(1105 - 1017 - 40 - 1);
  assert.equal(drain(window), 0);
  await clock.advance(1);
  assert.equal(drain(window), 1);
});

test('a repeated call of sent or answered counts once', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 100, per: 1000 }], margin: 5, clock });
  const permits: Permit[] = await Promise.all(Array.from({ length: 100 }, async () => window.acquire()));
  for (const permit of permits) permit.sent();
  await clock.advance(80);
  for (const permit of permits) permit.sent();
  for (const permit of permits) permit.answered();
  await clock.advance(20);
  for (const permit of permits) permit.answered();
  assert.deepEqual(window.tryAcquire(), { waitMs: 905 });
  assert.equal(window.peaks()[0]?.peak, 100);
});

test('an answer without a call of sent blocks its slot from now, and is not measured', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 100, per: 1000 }], margin: 5, clock });
  const permits: Permit[] = await Promise.all(Array.from({ length: 100 }, async () => window.acquire()));
  for (const permit of permits.slice(1)) permit.sent();
  await clock.advance(80);
  for (const permit of permits) permit.answered();
  assert.deepEqual(window.tryAcquire(), { waitMs: 925 });
  await clock.advance(925);
  assert.equal(drain(window), 99);
});

test('a slower transit does not free slots of earlier requests before their window', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 2200, per: 60_000 }], margin: 5, clock });
  const exchange = async (count: number, ms: number): Promise<void> => {
    const permits = await Promise.all(Array.from({ length: count }, async () => window.acquire()));
    for (const permit of permits) permit.sent();
    await clock.advance(ms);
    for (const permit of permits) permit.answered();
  };
  await exchange(100, 10);
  await exchange(2100, 500);
  assert.deepEqual(window.tryAcquire(), { waitMs: 60_005 - 510 });
});

test('waiters are served as soon as answers show that the transit was not slower than usual', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 20, per: 1000 }], margin: 5, clock });
  const permits: Permit[] = await Promise.all(Array.from({ length: 20 }, async () => window.acquire()));
  for (const permit of permits) permit.sent();
  const next = window.acquire();
  await clock.advance(80);
  for (const permit of permits) permit.answered();
  await clock.finish(next);
  assert.equal(clock.now(), 1005);
});

test('freed slots are not counted again in the wait for a weight', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 20, per: 1000 }], margin: 5, clock });
  const permits: Permit[] = await Promise.all(Array.from({ length: 20 }, async () => window.acquire()));
  for (const permit of permits) permit.sent();
  await clock.advance(80);
  // The first is never answered, and so stands before those that have rested.
  for (const permit of permits.slice(1)) permit.answered();
  await clock.advance(925);
  assert.deepEqual(window.tryAcquire(20), { waitMs: 100 });
});

test('every window holds at once', async () => {
  const clock = new FakeClock();
  const rates = [
    { requests: 2, per: 100 },
    { requests: 3, per: 1000 },
  ];
  const window = new RollingWindow({ rates, margin: 0, uplinkSpread: 0, clock });
  assert.equal(drain(window), 2);
  await clock.advance(100);
  assert.equal(drain(window), 1);
  await clock.advance(899);
  assert.equal(drain(window), 0);
  await clock.advance(1);
  assert.equal(drain(window), 2);
  assert.deepEqual(window.peaks(), [
    { requests: 2, perMs: 100, peak: 2 },
    { requests: 3, perMs: 1000, peak: 3 },
  ]);
});

test('a weight takes as much of every window', () => {
  const window = new RollingWindow({ rates: [{ requests: 10, per: 1000 }], clock: new FakeClock() });
  assert.equal(drain(window, { weight: 4 }), 2);
  assert.equal(drain(window), 2);
});

test('a weight that can never be granted is an error at once', async () => {
  const rates = [
    { requests: 10, per: 1000 },
    { requests: 5, per: 100 },
  ];
  const window = new RollingWindow({ rates, clock: new FakeClock() });
  await assert.rejects(window.acquire({ weight: 6 }), { code: 'WEIGHT_ABOVE_LIMIT' });
  assert.throws(() => window.tryAcquire(6), { code: 'WEIGHT_ABOVE_LIMIT' });
  await assert.rejects(window.acquire({ weight: 0 }), UsageError);
  await assert.rejects(window.acquire({ weight: Number.NaN }), UsageError);
});

test('a window without rates, or with one that allows nothing, is a mistake', () => {
  assert.throws(() => new RollingWindow({ rates: [] }), UsageError);
  assert.throws(() => new RollingWindow({ rates: [{ requests: 0, per: 1000 }] }), UsageError);
  assert.throws(() => new RollingWindow({ rates: [{ requests: 1, per: 0 }] }), UsageError);
});

test('an early timer grants no permit too early', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 1, per: 1000 }], margin: 0, uplinkSpread: 0, clock });
  const sleep = clock.sleep.bind(clock);
  clock.sleep = async (ms, signal) => sleep(Math.max(0.25, ms - 0.75), signal);
  drain(window);
  await clock.finish(window.acquire());
  assert.ok(clock.now() >= 1000);
});

test('the peak counts weights within half-open intervals', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 10, per: 1000 }], margin: 0, uplinkSpread: 0, clock });
  const send = async (weight: number): Promise<void> => (await window.acquire({ weight })).sent();
  await send(4);
  await clock.advance(600);
  await send(3);
  await clock.advance(400);
  // The first four have left the interval that ends here.
  await send(2);
  assert.deepEqual(window.peaks(), [{ requests: 10, perMs: 1000, peak: 7 }]);
  await clock.advance(599);
  await send(4);
  assert.deepEqual(window.peaks(), [{ requests: 10, perMs: 1000, peak: 9 }]);
});
