import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { UsageError } from '../../src/resilience/failure.ts';
import { TokenBucket } from '../../src/resilience/token-bucket.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { repeats } from '../support/long.ts';

test('a full bucket gives a burst, then refills continuously', async () => {
  const clock = new FakeClock();
  const bucket = new TokenBucket({ rate: 10, capacity: 3, clock });
  const times: number[] = [];
  const take = async (): Promise<void> => {
    await bucket.acquire();
    times.push(clock.now());
  };
  await clock.finish(Promise.all(Array.from({ length: 6 }, take)));
  assert.deepEqual(times, [0, 0, 0, 100, 200, 300]);
  assert.equal(bucket.waitedMs, 600);
  assert.deepEqual(clock.pending, []);
});

test('it never holds more than its capacity', async () => {
  const clock = new FakeClock();
  const bucket = new TokenBucket({ rate: 10, capacity: 3, clock });
  await clock.advance(60_000);
  for (let count = 0; count < 3; count += 1) assert.ok('weight' in bucket.tryAcquire());
  assert.deepEqual(bucket.tryAcquire(), { waitMs: 100 });
});

test('trying says how long the weight would take', async () => {
  const clock = new FakeClock();
  const bucket = new TokenBucket({ rate: 10, capacity: 5, clock });
  assert.deepEqual(bucket.tryAcquire(5), { weight: 5 });
  await clock.advance(150);
  assert.deepEqual(bucket.tryAcquire(4), { waitMs: 250 });
  assert.deepEqual(bucket.tryAcquire(1), { weight: 1 });
});

test('trying never overtakes waiters', async () => {
  const clock = new FakeClock();
  const bucket = new TokenBucket({ rate: 10, capacity: 5, clock });
  bucket.tryAcquire(4);
  const heavy = bucket.acquire({ weight: 5 });
  assert.deepEqual(bucket.tryAcquire(1), { waitMs: 400 });
  await clock.finish(heavy);
  assert.equal(clock.now(), 400);
});

test('a weight that can never be granted is an error at once', async () => {
  const bucket = new TokenBucket({ rate: 10, capacity: 5, clock: new FakeClock() });
  await assert.rejects(bucket.acquire({ weight: 6 }), { code: 'WEIGHT_ABOVE_LIMIT' });
  assert.throws(() => bucket.tryAcquire(6), { code: 'WEIGHT_ABOVE_LIMIT' });
  assert.throws(() => new TokenBucket({ rate: 0, capacity: 1 }), UsageError);
  assert.throws(() => new TokenBucket({ rate: 1, capacity: 0.5 }), UsageError);
});

test('over any time t no more than capacity and rate times t is taken, and no less than that when asked for', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 500 }),
      fc.integer({ min: 1, max: 10 }),
      fc.array(fc.integer({ min: 1, max: 10 }), { minLength: 1, maxLength: 40 }),
      async (rate, capacity, wishes) => {
        const clock = new FakeClock();
        const bucket = new TokenBucket({ rate, capacity, clock });
        const taken: { at: number; weight: number }[] = [];
        const take = async (wish: number): Promise<void> => {
          const weight = Math.min(wish, capacity);
          await bucket.acquire({ weight });
          taken.push({ at: clock.now(), weight });
        };
        await clock.finish(Promise.all(wishes.map(take)));
        for (const [first, start] of taken.entries()) {
          let sum = 0;
          for (const { at, weight } of taken.slice(first)) {
            sum += weight;
            assert.ok(sum <= capacity + (rate * (at - start.at)) / 1000 + 1e-6);
          }
        }
        const total = taken.reduce((sum, { weight }) => sum + weight, 0);
        // Each wait is rounded up to a whole millisecond, in which a full bucket overflows.
        assert.ok(clock.now() <= Math.max(0, ((total - capacity) * 1000) / rate) + wishes.length);
      },
    ),
    { numRuns: repeats(60, 2_000) },
  );
});
