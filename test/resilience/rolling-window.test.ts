import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import fc from 'fast-check';
import { UsageError } from '../../src/resilience/failure.ts';
import { type Permit, RollingWindow } from '../../src/resilience/rolling-window.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { repeats } from '../support/long.ts';

/** Takes what is free now and sends it. */
function drain(window: RollingWindow, { weight = 1, answered = false } = {}): number {
  let count = 0;
  for (let permit = window.tryAcquire(weight); 'sent' in permit; permit = window.tryAcquire(weight)) {
    permit.sent();
    if (answered) permit.answered();
    count += 1;
  }
  return count;
}

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

test('before any answer a permit rests for window, margin and the whole spread of the uplink', () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 1, per: 1000 }], margin: 5, uplinkSpread: 0.1, clock });
  drain(window);
  assert.deepEqual(window.tryAcquire(), { waitMs: 1105 });
});

test('once the way is known, a request of the usual speed rests for window and margin alone', async () => {
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

test('a request whose answer came late rests longer by as much, up to the spread', async () => {
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

test('what is said twice counts once', async () => {
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

test('an answer to a request that was never said to be sent rests from now, and teaches nothing', async () => {
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

test('a way that became slower does not make earlier requests rest less than their window', async () => {
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

test('those who wait are served as soon as answers show that the way was no longer than usual', async () => {
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

test('those who wait are served when a permit is given back', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 1, per: 1000 }], clock });
  const permit = await window.acquire();
  const next = window.acquire();
  await clock.settle();
  permit.release();
  await next;
  assert.equal(clock.now(), 0);
});

test('what has rested already is not counted again in how long a weight has to wait', async () => {
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

test('those who wait are served the moment a permit has rested, and their waiting is counted', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 1, per: 1000 }], margin: 0, uplinkSpread: 0, clock });
  drain(window);
  const times: number[] = [];
  const take = async (): Promise<void> => {
    const permit = await window.acquire();
    times.push(clock.now());
    permit.sent();
  };
  await clock.finish(Promise.all([take(), take(), take()]));
  assert.deepEqual(times, [1000, 2000, 3000]);
  assert.equal(window.waitedMs, 6000);
  assert.deepEqual(clock.pending, []);
});

test('a weight takes as much of every window', () => {
  const window = new RollingWindow({ rates: [{ requests: 10, per: 1000 }], clock: new FakeClock() });
  assert.equal(drain(window, { weight: 4 }), 2);
  assert.equal(drain(window), 2);
});

test('how long a heavy weight has to wait is told exactly', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 3, per: 1000 }], margin: 0, uplinkSpread: 0, clock });
  for (let count = 0; count < 3; count += 1) {
    const permit = window.tryAcquire();
    if ('sent' in permit) permit.sent();
    await clock.advance(100);
  }
  assert.deepEqual(window.tryAcquire(1), { waitMs: 700 });
  assert.deepEqual(window.tryAcquire(2), { waitMs: 800 });
  assert.deepEqual(window.tryAcquire(3), { waitMs: 900 });
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

test('keys take turns, and inside one key the first come is first served', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 1, per: 100 }], margin: 0, uplinkSpread: 0, clock });
  drain(window);
  const order: string[] = [];
  const take = async (key: string, name: string): Promise<void> => {
    const permit = await window.acquire({ key });
    order.push(name);
    permit.sent();
  };
  const first = ['a1', 'a2', 'a3', 'a4'].map(async (name) => take('a', name));
  const second = ['b1', 'b2'].map(async (name) => take('b', name));
  const third = [take('c', 'c1')];
  await clock.finish(Promise.all([...first, ...second, ...third]));
  assert.deepEqual(order, ['a1', 'b1', 'c1', 'a2', 'b2', 'a3', 'a4']);
});

test('a heavy one at the head is not overtaken by light ones', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 3, per: 1000 }], margin: 0, uplinkSpread: 0, clock });
  (await window.acquire()).sent();
  const order: string[] = [];
  const take = async (name: string, weight: number, key: string): Promise<void> => {
    const permit = await window.acquire({ weight, key });
    order.push(`${name} at ${clock.now()}`);
    permit.sent();
  };
  const work = Promise.all([take('heavy', 3, 'a'), take('light', 1, 'b'), take('light', 1, 'a')]);
  await clock.settle();
  assert.deepEqual(window.tryAcquire(1), { waitMs: 1000 });
  await clock.finish(work);
  assert.deepEqual(order, ['heavy at 1000', 'light at 2000', 'light at 2000']);
});

test('an abort while waiting leaves no timer and no listener, and lets the next one go', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 3, per: 1000 }], margin: 0, uplinkSpread: 0, clock });
  (await window.acquire()).sent();
  const abort = new AbortController();
  const heavy = assert.rejects(window.acquire({ weight: 3, signal: abort.signal }), { message: 'gone' });
  const light = window.acquire({ signal: abort.signal });
  await clock.settle();
  assert.equal(window.waiting, 2);
  assert.equal(clock.pending.length, 1);
  abort.signal.addEventListener('abort', () => undefined);
  const other = window.acquire();
  abort.abort(new Error('gone'));
  await heavy;
  await assert.rejects(light, { message: 'gone' });
  await other;
  assert.equal(window.waiting, 0);
  assert.deepEqual(clock.pending, []);
  assert.equal(getEventListeners(abort.signal, 'abort').length, 1);
  await assert.rejects(window.acquire({ signal: abort.signal }), { message: 'gone' });
});

test('a pause holds everyone, also those who wait already', async () => {
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

test('after a complaint the limit halves, and climbs back by a tenth of the ceiling per quiet window', async () => {
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

test('those who wait for a lowered limit go on when it climbs', async () => {
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

test('an early timer gives nothing away too early', async () => {
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

test('those who wait when the limit is lowered are served at the lower one, and a heavy one still passes', async () => {
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

test('those who are sent away leave nothing behind, and who comes later is served', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 1, per: 1000 }], clock });
  drain(window);
  const controller = new AbortController();
  const waiting = ['a', 'b', 'a'].map(async (key) => window.acquire({ key, signal: controller.signal }));
  const reason = new Error('go home');
  window.dismiss(reason);
  for (const one of waiting) await assert.rejects(one, reason);
  assert.equal(window.waiting, 0);
  assert.deepEqual(clock.pending, []);
  assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
  await clock.finish(window.acquire());
});

test('tells when the last of many can be sent at the soonest, to the millisecond when one window decides', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ requests: fc.integer({ min: 1, max: 12 }), per: fc.integer({ min: 1, max: 500 }) }), {
        minLength: 1,
        maxLength: 2,
      }),
      fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 15 }),
      fc.integer({ min: 1, max: 40 }),
      async (rates, pauses, count) => {
        const clock = new FakeClock();
        const window = new RollingWindow({ rates, margin: 0, uplinkSpread: 0, clock });
        const send = async (): Promise<void> => {
          const permit = await clock.finish(window.acquire());
          permit.sent();
          permit.answered();
        };
        for (const pause of pauses) {
          await clock.advance(pause);
          await send();
        }
        const soonest = window.soonest(count);
        for (let sent = 0; sent < count; sent += 1) await send();
        if (rates.length === 1) assert.equal(soonest, clock.now());
        else assert.ok(soonest <= clock.now(), `${soonest} and ${clock.now()}`);
      },
    ),
    { numRuns: repeats(60, 3_000) },
  );
});
