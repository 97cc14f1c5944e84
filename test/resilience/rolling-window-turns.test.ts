import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import fc from 'fast-check';
import { RollingWindow } from '../../src/resilience/rolling-window.ts';
import { drain } from '../support/drain.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { repeats } from '../support/long.ts';

test('waiters are served when a permit is released', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 1, per: 1000 }], clock });
  const permit = await window.acquire();
  const next = window.acquire();
  await clock.settle();
  permit.release();
  await next;
  assert.equal(clock.now(), 0);
});

test('waiters are served the moment a slot is free, and their wait is counted', async () => {
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

test('the wait for a heavy weight is exact', async () => {
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

test('a heavy waiter at the head is not overtaken by light ones', async () => {
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

test('dismissed waiters leave nothing behind, and later ones are served', async () => {
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

test('gives the earliest time of the last of many requests, exact when one window decides', async () => {
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
