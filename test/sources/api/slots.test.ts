import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as settled } from 'node:timers/promises';
import fc from 'fast-check';
import { Slots } from '../../../src/sources/api/slots.ts';
import { repeats } from '../../support/long.ts';

test('work whose caller gave up while it waited is never begun, and its place goes to the next', async () => {
  const slots = new Slots(1);
  const controller = new AbortController();
  const begun: string[] = [];
  const { promise: over, resolve: end } = Promise.withResolvers<void>();
  const work = (name: string) => async () => {
    begun.push(name);
    await over;
    return name;
  };
  const first = slots.run(work('first'), { signal: controller.signal });
  const given = slots.run(work('given up'), { signal: controller.signal });
  const last = slots.run(work('last'));
  await settled();
  controller.abort(new Error('enough'));
  await assert.rejects(given, { message: 'enough' });
  assert.equal(slots.inUse, 1, 'the running work keeps its slot until it has ended');
  end();
  assert.deepEqual(await Promise.all([first, last]), ['first', 'last']);
  assert.deepEqual(begun, ['first', 'last']);
  assert.equal(slots.peak, 1);
});

test('work whose caller gives up at its turn, before it has begun, is not begun and gives the slot back', async () => {
  const slots = new Slots(1);
  const controller = new AbortController();
  const { promise: over, resolve: end } = Promise.withResolvers<void>();
  const first = slots.run(async () => over.then(() => queueMicrotask(() => controller.abort(new Error('enough')))));
  const given = slots.run(async () => Promise.reject(new Error('begun')), { signal: controller.signal });
  end();
  await first;
  await assert.rejects(given, { message: 'enough' });
  assert.equal(await slots.run(async () => Promise.resolve(1)), 1);
});

test('an error of the work is the error of the run, and frees the slot', async () => {
  const slots = new Slots(1);
  await assert.rejects(
    slots.run(async () => Promise.reject(new Error('broken'))),
    { message: 'broken' },
  );
  assert.equal(await slots.run(async () => Promise.resolve(1)), 1);
});

test('a lane with thousands of waiters delays no other lane by more than a turn', async () => {
  const slots = new Slots(2);
  const begun: string[] = [];
  const ask = async (key: string): Promise<void> => slots.run(async () => (begun.push(key), settled()), { lane: key });
  const flood = Array.from({ length: 3_000 }, async () => ask('usage'));
  await settled();
  const before = begun.length;
  await ask('listing');
  assert.ok(begun.indexOf('listing') - before <= 1, `${begun.indexOf('listing') - before} others went first`);
  assert.ok(slots.waiting > 2_500);
  await Promise.all(flood);
  assert.equal(begun.length, 3_001);
});

const keys = ['listing', 'contract', 'usage', 'plan'] as const;
type Key = (typeof keys)[number];

/** What the world does: somebody asks, some running work ends, somebody gives up (by position among all who ever asked). */
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ does: fc.constant('ask' as const), key: fc.constantFrom(...keys) }) },
  { weight: 4, arbitrary: fc.record({ does: fc.constant('end' as const), which: fc.nat(), fails: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ does: fc.constant('giveUp' as const), which: fc.nat() }) },
);

test('in any order of calls, ends and aborts: never too many at once, no lane starves, and a lane is first in, first out', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 120 }), async (limit, steps) => {
      const slots = new Slots(limit);
      /** Those who wait by key, in order; and for each of them how often every other key was served meanwhile. */
      const waiting = new Map<Key, number[]>(keys.map((key) => [key, []]));
      const turns = new Map<Key, Map<Key, number>>();
      const running = new Map<number, (fails: boolean) => void>();
      const asked: { key: Key; controller: AbortController; ended: Promise<unknown> }[] = [];

      const begin = (id: number, key: Key): void => {
        assert.equal(waiting.get(key)!.shift(), id, 'first come, first served');
        for (const other of keys) {
          if (other === key || waiting.get(other)!.length === 0) continue;
          const passed = turns.get(other)!;
          passed.set(key, (passed.get(key) ?? 0) + 1);
          assert.ok(passed.get(key)! <= 1, `${key} was served twice while ${other} waited for its turn`);
        }
        turns.set(key, new Map());
      };
      const ask = (key: Key): void => {
        const id = asked.length;
        const controller = new AbortController();
        if (waiting.get(key)!.length === 0) turns.set(key, new Map());
        waiting.get(key)!.push(id);
        const work = async (): Promise<void> => {
          begin(id, key);
          const { promise, resolve, reject } = Promise.withResolvers<void>();
          running.set(id, (fails) => (fails ? reject(new Error('failed')) : resolve()));
          assert.ok(running.size <= limit);
          await promise.finally(() => running.delete(id));
        };
        const ended = slots.run(work, { lane: key, signal: controller.signal }).catch((error: unknown) => {
          if (error instanceof assert.AssertionError) throw error;
        });
        asked.push({ key, controller, ended });
      };
      const giveUp = (which: number): void => {
        if (asked.length === 0) return;
        const id = which % asked.length;
        const { key, controller } = asked[id]!;
        waiting.set(
          key,
          waiting.get(key)!.filter((one) => one !== id),
        );
        controller.abort(new Error('enough'));
      };

      for (const one of steps) {
        if (one.does === 'ask') ask(one.key);
        else if (one.does === 'giveUp') giveUp(one.which);
        else [...running.values()][one.which % Math.max(1, running.size)]?.(one.fails);
        await settled();
        const stillWaiting = [...waiting.values()].reduce((sum, line) => sum + line.length, 0);
        assert.equal(slots.waiting, stillWaiting, 'who gave up leaves nothing behind');
        assert.equal(slots.inUse, running.size);
        assert.ok(stillWaiting === 0 || running.size === limit, 'a slot is free while somebody waits');
      }
      while (running.size > 0) {
        for (const end of running.values()) end(false);
        await settled();
      }
      for (const { ended } of asked) await ended;
      assert.deepEqual([slots.inUse, slots.waiting], [0, 0]);
    }),
    { numRuns: repeats(50, 2_000) },
  );
});
