import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { setImmediate as settled } from 'node:timers/promises';
import { test } from 'node:test';
import fc from 'fast-check';
import { BoundedQueue, QueueClosedError } from '../../src/resilience/bounded-queue.ts';
import { repeats } from '../support/long.ts';

async function isPending(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending');
  await settled();
  return (await Promise.race([promise, Promise.resolve(pending)])) === pending;
}

async function all<T>(queue: BoundedQueue<T>): Promise<T[]> {
  return Array.fromAsync(queue);
}

test('items come out in the order they went in', async () => {
  const queue = new BoundedQueue<number>({ items: 10 });
  for (const item of [1, 2, 3]) await queue.push(item);
  queue.close();
  assert.deepEqual(await all(queue), [1, 2, 3]);
});

test('producers wait while it is full, and go on one by one as items are taken', async () => {
  const queue = new BoundedQueue<number>({ items: 2 });
  await queue.push(1);
  await queue.push(2);
  const third = queue.push(3);
  const fourth = queue.push(4);
  assert.equal(await isPending(third), true);
  const consumer = queue[Symbol.asyncIterator]();
  assert.deepEqual(await consumer.next(), { done: false, value: 1 });
  await third;
  assert.equal(await isPending(fourth), true);
  assert.equal(queue.size, 2);
  await consumer.next();
  await fourth;
});

test('bytes limit it too, and a single item larger than the limit is admitted alone', async () => {
  const queue = new BoundedQueue<string>({ items: 10, bytes: 10, sizeOf: (item) => item.length });
  await queue.push('a'.repeat(6));
  const second = queue.push('b'.repeat(5));
  assert.equal(await isPending(second), true);
  const huge = queue.push('c'.repeat(100));
  const consumer = queue[Symbol.asyncIterator]();
  await consumer.next();
  await second;
  assert.equal(queue.bytes, 5);
  assert.equal(await isPending(huge), true);
  await consumer.next();
  await huge;
  assert.equal(queue.bytes, 100);
});

test('several consumers share the items, and one that leaves leaves the rest to the others', async () => {
  const queue = new BoundedQueue<number>({ items: 1 });
  const taken: number[] = [];
  const leaving = (async () => {
    for await (const item of queue) {
      taken.push(item);
      break;
    }
  })();
  const staying = (async () => {
    for await (const item of queue) taken.push(item);
  })();
  for (let item = 0; item < 20; item += 1) await queue.push(item);
  queue.close();
  await Promise.all([leaving, staying]);
  assert.deepEqual(
    taken.toSorted((a, b) => a - b),
    Array.from({ length: 20 }, (_, index) => index),
  );
});

test('after close it gives the remaining items and accepts no more', async () => {
  const queue = new BoundedQueue<number>({ items: 1 });
  await queue.push(1);
  const refused = assert.rejects(queue.push(2), QueueClosedError);
  queue.close();
  await refused;
  await assert.rejects(queue.push(3), QueueClosedError);
  assert.deepEqual(await all(queue), [1]);
});

test('closing ends consumers that wait', async () => {
  const queue = new BoundedQueue<number>({ items: 1 });
  const waiting = all(queue);
  assert.equal(await isPending(waiting), true);
  queue.close();
  assert.deepEqual(await waiting, []);
});

test('after close with an error all producers and consumers get the error at once', async () => {
  const queue = new BoundedQueue<number>({ items: 1 });
  const waiting = assert.rejects(all(queue), { message: 'broken' });
  await settled();
  queue.close(new Error('broken'));
  queue.close();
  await waiting;
  await assert.rejects(queue.push(1), { message: 'broken' });
  const full = new BoundedQueue<number>({ items: 1 });
  await full.push(1);
  const refused = assert.rejects(full.push(2), { message: 'broken' });
  full.close(new Error('broken'));
  await refused;
  assert.equal(full.size, 0);
  await assert.rejects(all(full), { message: 'broken' });
});

test('an abort ends the waiting of a producer, whose item never enters, and leaves no listener', async () => {
  const queue = new BoundedQueue<string>({ items: 10, bytes: 4, sizeOf: (item) => item.length });
  await queue.push('aa');
  const abort = new AbortController();
  const big = assert.rejects(queue.push('bbbb', abort.signal), { message: 'gone' });
  const small = queue.push('c');
  assert.equal(await isPending(small), true);
  abort.abort(new Error('gone'));
  await big;
  await small;
  queue.close();
  assert.deepEqual(await all(queue), ['aa', 'c']);
  assert.equal(getEventListeners(abort.signal, 'abort').length, 0);
});

test('an abort at the moment a producer is admitted does not remove its item', async () => {
  const queue = new BoundedQueue<number>({ items: 1 });
  await queue.push(1);
  const abort = new AbortController();
  const second = queue.push(2, abort.signal);
  const taking = queue[Symbol.asyncIterator]().next();
  abort.abort();
  await Promise.all([second, taking]);
  const consumer = queue[Symbol.asyncIterator]();
  assert.deepEqual(await consumer.next(), { done: false, value: 2 });
  await queue.push(3);
  queue.close();
  assert.deepEqual(await all(queue), [3]);
});

test('whatever the sizes and the pace, all items pass once, in order, within the bounds', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 40 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 30 }),
      fc.scheduler(),
      async (sizes, items, bytes, scheduler) => {
        const queue = new BoundedQueue<{ index: number; size: number }>({ items, bytes, sizeOf: ({ size }) => size });
        const taken: number[] = [];
        const produce = async (): Promise<void> => {
          for (const [index, size] of sizes.entries()) {
            await scheduler.schedule(Promise.resolve());
            await queue.push({ index, size });
            assert.ok(queue.size <= items);
            assert.ok(queue.bytes <= bytes || queue.size === 1);
          }
          queue.close();
        };
        const consume = async (): Promise<void> => {
          for await (const { index } of queue) {
            taken.push(index);
            await scheduler.schedule(Promise.resolve());
          }
        };
        await scheduler.waitFor(Promise.all([produce(), consume(), consume()]));
        assert.deepEqual(taken, [...sizes.keys()]);
      },
    ),
    { numRuns: repeats(40, 2_000) },
  );
});
