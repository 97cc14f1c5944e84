import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TimeLimit } from '../../src/resilience/time-limit.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { repeats } from '../support/long.ts';

test('each piece of work is late when its own time is over, with one timer for all of them', async () => {
  const clock = new FakeClock();
  const limit = new TimeLimit(100, { clock });
  const late: [string, number][] = [];
  for (const name of ['a', 'b', 'c']) {
    limit.start(() => late.push([name, clock.now()]));
    await clock.advance(10);
    assert.equal(clock.pending.length, 1);
  }
  await clock.advance(1_000);
  assert.deepEqual(late, [
    ['a', 100],
    ['b', 110],
    ['c', 120],
  ]);
  assert.deepEqual(clock.pending, []);
});

test('work that has ended is never late, and the last to end leaves no timer', async () => {
  const clock = new FakeClock();
  const limit = new TimeLimit(100, { clock });
  const late: string[] = [];
  const first = limit.start(() => late.push('first'));
  await clock.advance(50);
  const second = limit.start(() => late.push('second'));
  limit.stop(first);
  await clock.advance(60);
  assert.deepEqual(late, []);
  limit.stop(second);
  await clock.settle();
  assert.deepEqual(clock.pending, []);
});

test('work that is stopped once it was late changes nothing for the others', async () => {
  const clock = new FakeClock();
  const limit = new TimeLimit(100, { clock });
  const late: string[] = [];
  const first = limit.start(() => {
    late.push('first');
    limit.stop(first);
    // What follows on a failure begins at once.
    limit.start(() => late.push('third'));
  });
  limit.start(() => late.push('second'));
  await clock.advance(150);
  assert.deepEqual(late, ['first', 'second']);
  await clock.advance(50);
  assert.deepEqual(late, ['first', 'second', 'third']);
  assert.deepEqual(clock.pending, []);
});

test('whatever begins and ends in whatever order, exactly what outlasts its time is late, and then', async () => {
  const work = fc.record({ begins: fc.nat(300), lasts: fc.nat(200) });
  await fc.assert(
    fc.asyncProperty(fc.array(work, { maxLength: 20 }), async (works) => {
      const clock = new FakeClock();
      const limit = new TimeLimit(100, { clock });
      const late = new Map<number, number>();
      await clock.finish(
        Promise.all(
          works.map(async ({ begins, lasts }, index) => {
            await clock.sleep(begins);
            const timing = limit.start(() => late.set(index, clock.now()));
            await clock.sleep(lasts);
            limit.stop(timing);
          }),
        ),
      );
      works.forEach(({ begins, lasts }, index) => {
        // At the very moment either may come first.
        if (lasts !== 100) assert.equal(late.get(index), lasts > 100 ? begins + 100 : undefined);
      });
      await clock.settle();
      assert.deepEqual(clock.pending, []);
    }),
    { numRuns: repeats(50, 1_000) },
  );
});
