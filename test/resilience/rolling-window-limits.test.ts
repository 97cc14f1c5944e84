import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UsageError } from '../../src/resilience/failure.ts';
import { RollingWindow } from '../../src/resilience/rolling-window.ts';
import { drain } from '../support/drain.ts';
import { FakeClock } from '../support/fake-clock.ts';

test('a pause applies to all, including current waiters', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 1, per: 100 }], margin: 0, uplinkSpread: 0, clock });
  drain(window);
  const waiting = window.acquire();
  window.pauseUntil(5000);
  window.pauseUntil(3000);
  await clock.finish(waiting);
  assert.equal(clock.now(), 5000);
});

test('an idle window that is paused says until when', () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 1, per: 100 }], clock });
  window.pauseUntil(250);
  assert.deepEqual(window.tryAcquire(), { waitMs: 250 });
});

test('after a refusal the limit halves, and rises by a tenth of the ceiling per window without one', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 100, per: 1000 }], margin: 0, uplinkSpread: 0, clock });
  window.slowDown();
  // What was in flight together complains together.
  window.slowDown();
  const perWindow: number[] = [];
  for (let count = 0; count < 7; count += 1) {
    perWindow.push(drain(window));
    await clock.advance(1000);
  }
  assert.deepEqual(perWindow, [50, 60, 70, 80, 90, 100, 100]);
  window.slowDown();
  await clock.advance(1000);
  window.slowDown();
  assert.equal(drain(window), 30);
});

test('a lowered limit still lets one request through, however heavy', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 4, per: 1000 }], margin: 0, uplinkSpread: 0, clock });
  for (let count = 0; count < 20; count += 1) {
    window.slowDown();
    await clock.advance(1000);
    window.slowDown();
  }
  const permit = await window.acquire({ weight: 4 });
  permit.sent();
});

test('waiters for a lowered limit are served when it rises', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 10, per: 1000 }], margin: 0, uplinkSpread: 0, clock });
  const permits = await Promise.all(Array.from({ length: 5 }, async () => window.acquire()));
  window.slowDown();
  // The five are never sent, so only climbing makes room.
  const next = window.acquire();
  await clock.finish(next);
  assert.equal(clock.now(), 1000);
  assert.equal(permits.length, 5);
});

test('a limit that the server announces lowers the windows that are not longer, and never raises one', async () => {
  const clock = new FakeClock();
  const rates = [
    { requests: 10, per: 1000 },
    { requests: 100, per: 60_000 },
  ];
  const window = new RollingWindow({ rates, margin: 0, uplinkSpread: 0, clock });
  assert.equal(window.lowerTo({ requests: 10, per: 1000 }), false);
  assert.equal(
    window.lowerTo({ requests: 50, per: 500 }),
    false,
    'a longer window may hold many of the announced ones',
  );
  assert.equal(window.lowerTo({ requests: 4, per: 500 }), false);
  assert.equal(window.lowerTo({ requests: 4, per: 1000 }), true);
  assert.equal(drain(window), 4);
  assert.equal(window.lowerTo({ requests: 1_000_000, per: 60_000 }), false);
  await clock.advance(1000);
  assert.equal(drain(window), 4, 'it stays lowered');
  assert.equal(window.lowerTo({ requests: 9, per: 60_000 }), true);
  await clock.advance(1000);
  assert.equal(drain(window), 1, 'eight of nine in the long window are used');
  assert.deepEqual(
    window.peaks().map(({ requests }) => requests),
    [10, 100],
    'the evidence is held against what was set up',
  );
  assert.throws(() => window.lowerTo({ requests: 0, per: 1000 }), UsageError);
});

test('waiters are served at a lowered limit, and a heavy one still passes', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 6, per: 1000 }], margin: 0, uplinkSpread: 0, clock });
  drain(window);
  const order: number[] = [];
  for (const weight of [1, 1, 5, 1])
    void window.acquire({ weight }).then((permit) => {
      order.push(weight);
      permit.sent();
    });
  window.lowerTo({ requests: 2, per: 1000 });
  await clock.advance(1000);
  assert.deepEqual(order, [1, 1]);
  await clock.advance(1000);
  assert.deepEqual(order, [1, 1, 5]);
  await clock.advance(1000);
  assert.deepEqual(order, [1, 1, 5, 1]);
});
