import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import fc from 'fast-check';
import { asCompleted, gather, gatherWithLimit, type Settled } from '../../src/resilience/collect.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { repeats } from '../support/long.ts';

test('independent waits run together, and their results come in order', async () => {
  const clock = new FakeClock();
  const wait = async <T>(ms: number, value: T): Promise<T> => {
    await clock.sleep(ms);
    return value;
  };
  const [word, number] = await clock.finish(gather([async () => wait(30, 'word'), async () => wait(10, 42)]));
  assert.equal(word.length + number, 46);
  assert.equal(clock.now(), 30);
});

test('when one of them fails the others are aborted, awaited, and the first error is thrown', async () => {
  const clock = new FakeClock();
  let ended = 0;
  const work = gather([
    async (signal) => {
      try {
        await clock.sleep(1000, signal);
      } catch {
        await clock.sleep(5);
        ended = clock.now();
        throw new Error('second');
      }
    },
    async () => {
      await clock.sleep(10);
      throw new Error('first');
    },
  ]);
  await assert.rejects(clock.finish(work), { message: 'first' });
  assert.equal(ended, 15);
});

test('gathering with a limit gives every outcome in order, as data', async () => {
  const clock = new FakeClock();
  let running = 0;
  let most = 0;
  const task = async (item: number): Promise<number> => {
    most = Math.max(most, (running += 1));
    await clock.sleep(100 - item * 10);
    running -= 1;
    if (item === 3) throw new Error('three');
    return item * 2;
  };
  const outcomes = await clock.finish(gatherWithLimit([1, 2, 3, 4], task, { concurrency: 2 }));
  assert.equal(most, 2);
  assert.deepEqual(outcomes, [
    { item: 1, status: 'fulfilled', value: 2 },
    { item: 2, status: 'fulfilled', value: 4 },
    { item: 3, status: 'rejected', reason: new Error('three') },
    { item: 4, status: 'fulfilled', value: 8 },
  ]);
});

test('outcomes are yielded the moment they end, so that a slow one delays nobody', async () => {
  const clock = new FakeClock();
  const seen: [string, number][] = [];
  const task = async (ms: number): Promise<string> => {
    await clock.sleep(ms);
    return `${ms}`;
  };
  const work = (async () => {
    for await (const outcome of asCompleted([300, 10, 20], task, { concurrency: 3 })) {
      assert.equal(outcome.status, 'fulfilled');
      seen.push([outcome.value, clock.now()]);
    }
  })();
  await clock.finish(work);
  assert.deepEqual(seen, [
    ['10', 10],
    ['20', 20],
    ['300', 300],
  ]);
});

test('items are pulled one at a time, as tasks may start, and not ahead of a consumer that is slow', async () => {
  const clock = new FakeClock();
  let pulled = 0;
  function* endless(): Generator<number> {
    for (;;) yield (pulled += 1);
  }
  const outcomes = asCompleted(endless(), async () => clock.sleep(10), { concurrency: 3 });
  await clock.finish(outcomes.next());
  assert.ok(pulled <= 6, `${pulled} pulled while three may run`);
  await clock.advance(1000);
  // One taken, three ended and not taken, three more ended and not taken.
  assert.equal(pulled, 7);
  await clock.finish(outcomes.return());
  assert.deepEqual(clock.pending, []);
});

test('a consumer that leaves aborts what runs, awaits its end, and closes the source', async () => {
  const clock = new FakeClock();
  let closed = false;
  let running = 0;
  function* source(): Generator<number> {
    try {
      yield* [1, 2, 3, 4, 5];
    } finally {
      closed = true;
    }
  }
  const task = async (item: number, signal: AbortSignal): Promise<void> => {
    running += 1;
    try {
      await clock.sleep(item * 10, signal);
    } finally {
      await clock.sleep(1);
      running -= 1;
    }
  };
  const abort = new AbortController();
  const work = (async () => {
    for await (const { item } of asCompleted(source(), task, { concurrency: 2, signal: abort.signal })) return item;
    return undefined;
  })();
  assert.equal(await clock.finish(work), 1);
  assert.equal(running, 0);
  assert.equal(closed, true);
  assert.deepEqual(clock.pending, []);
  assert.equal(getEventListeners(abort.signal, 'abort').length, 0);
});

test('aborted from outside it pulls nothing more, yields what was running, then throws the reason', async () => {
  const clock = new FakeClock();
  const abort = new AbortController();
  const seen: Settled<number, void>[] = [];
  const work = (async () => {
    const options = { concurrency: 2, signal: abort.signal };
    const task = async (_item: number, signal: AbortSignal): Promise<void> => clock.sleep(100, signal);
    for await (const outcome of asCompleted([1, 2, 3, 4], task, options)) seen.push(outcome);
  })();
  const rejected = assert.rejects(work, { message: 'stop' });
  await clock.advance(150);
  abort.abort(new Error('stop'));
  await rejected;
  assert.deepEqual(
    seen.map(({ item, status }) => [item, status]),
    [
      [1, 'fulfilled'],
      [2, 'fulfilled'],
      [3, 'rejected'],
      [4, 'rejected'],
    ],
  );
});

test('an item that arrives after the abort is not started', async () => {
  const clock = new FakeClock();
  const abort = new AbortController();
  async function* source(): AsyncGenerator<number> {
    yield 1;
    await clock.sleep(100);
    yield 2;
  }
  const started: number[] = [];
  const task = async (item: number): Promise<void> => Promise.resolve(void started.push(item));
  const work = gatherWithLimit(source(), task, { concurrency: 2, signal: abort.signal });
  const rejected = assert.rejects(work, { message: 'stop' });
  await clock.advance(50);
  abort.abort(new Error('stop'));
  await clock.advance(50);
  await rejected;
  assert.deepEqual(started, [1]);
});

test('a source that fails is reported after what was running has been yielded', async () => {
  const clock = new FakeClock();
  async function* source(): AsyncGenerator<number> {
    yield 1;
    await clock.sleep(5);
    throw new Error('page 2');
  }
  const seen: number[] = [];
  const work = (async () => {
    for await (const { item } of asCompleted(source(), async () => clock.sleep(50), { concurrency: 4 }))
      seen.push(item);
  })();
  await assert.rejects(clock.finish(work), { message: 'page 2' });
  assert.deepEqual(seen, [1]);
});

test('whatever the durations, every item has one outcome and never more run than may', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ ms: fc.nat(50), fails: fc.boolean() }), { maxLength: 30 }),
      fc.integer({ min: 1, max: 6 }),
      fc.nat(30),
      async (items, concurrency, pause) => {
        const clock = new FakeClock();
        let running = 0;
        let most = 0;
        const task = async ({ ms, fails }: { ms: number; fails: boolean }): Promise<number> => {
          most = Math.max(most, (running += 1));
          await clock.sleep(ms);
          running -= 1;
          if (fails) throw new Error('fails');
          return ms;
        };
        const seen: Settled<{ ms: number; fails: boolean }, number>[] = [];
        const work = (async () => {
          for await (const outcome of asCompleted(items, task, { concurrency })) {
            seen.push(outcome);
            await clock.sleep(pause);
          }
        })();
        await clock.finish(work);
        assert.ok(most <= concurrency);
        assert.equal(seen.length, items.length);
        assert.equal(new Set(seen.map(({ item }) => item)).size, items.length);
        for (const { item, status } of seen) assert.equal(status, item.fails ? 'rejected' : 'fulfilled');
      },
    ),
    { numRuns: repeats(40, 1_000) },
  );
});
