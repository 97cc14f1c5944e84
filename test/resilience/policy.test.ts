import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import { breaking, limiting, type Policy, retrying, stack, timing } from '../../src/resilience/policy.ts';
import { RollingWindow } from '../../src/resilience/rolling-window.ts';
import { TokenBucket } from '../../src/resilience/token-bucket.ts';
import { FakeClock } from '../support/fake-clock.ts';

const never = new AbortController().signal;
const retries = {
  attempts: 3,
  backoff: 'constant',
  baseDelay: 10,
  maxDelay: 10,
  jitter: false,
  maxElapsed: 1000,
} as const;

test('the first policy of a stack is the outermost', async () => {
  const order: string[] = [];
  const named = (name: string): Policy => {
    return (task) => async (signal) => {
      order.push(`${name} in`);
      const value = await task(signal);
      order.push(`${name} out`);
      return value;
    };
  };
  const task = stack(named('a'), named('b'))(async () => Promise.resolve(42));
  assert.equal(await task(never), 42);
  assert.deepEqual(order, ['a in', 'b in', 'b out', 'a out']);
  assert.equal(await stack()(async () => Promise.resolve(1))(never), 1);
});

test('a timeout inside a retry is of each attempt, outside of all together', async () => {
  const clock = new FakeClock();
  let calls = 0;
  const slow = async (signal: AbortSignal): Promise<void> => {
    calls += 1;
    await clock.sleep(100, signal);
  };
  const each = stack(retrying({ ...retries, clock }), timing(50, { clock }))(slow);
  await assert.rejects(clock.finish(each(never)), { code: 'TIMEOUT' });
  assert.deepEqual([calls, clock.now()], [3, 170]);
  const all = stack(timing(50, { clock }), retrying({ ...retries, clock }))(slow);
  await assert.rejects(clock.finish(all(never)), { code: 'TIMEOUT' });
  assert.deepEqual([calls, clock.now()], [4, 220]);
});

test('a breaker inside a retry counts every attempt, and may be waited for', async () => {
  const clock = new FakeClock();
  const breaker = new CircuitBreaker({ failures: 2, openFor: 500, trials: 1, clock });
  let calls = 0;
  const task = async (): Promise<number> => {
    calls += 1;
    return calls < 3 ? Promise.reject(new Error('not yet')) : Promise.resolve(clock.now());
  };
  const patient = stack(retrying({ ...retries, clock }), breaking(breaker, { wait: true }));
  assert.equal(await clock.finish(patient(task)(never)), 510);
  assert.equal(breaker.opened, 1);
});

test('a limiter inside a retry holds for every attempt', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 1, per: 100 }], margin: 0, uplinkSpread: 0, clock });
  const bucket = new TokenBucket({ rate: 5, capacity: 1, clock });
  const times: number[] = [];
  const task = async (): Promise<never> => {
    times.push(clock.now());
    return Promise.reject(new Error('again'));
  };
  const limited = stack(retrying({ ...retries, clock }), limiting(window))(task);
  await assert.rejects(clock.finish(limited(never)));
  const dripping = stack(retrying({ ...retries, clock }), limiting(bucket))(task);
  await assert.rejects(clock.finish(dripping(never)));
  assert.deepEqual(times, [0, 100, 200, 200, 400, 600]);
});

test('a limited task that succeeds tells the window how long it took', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 100, per: 1000 }], margin: 5, clock });
  const task = limiting(window)(async (signal) => clock.sleep(80, signal));
  await clock.finish(Promise.all(Array.from({ length: 100 }, async () => task(never))));
  assert.deepEqual(window.tryAcquire(), { waitMs: 925 });
});

test('an abort reaches the task through every policy', async () => {
  const clock = new FakeClock();
  const abort = new AbortController();
  const breaker = new CircuitBreaker({ failures: 1, openFor: 500, trials: 1, clock });
  const window = new RollingWindow({ rates: [{ requests: 1, per: 100 }], clock });
  const policy = stack(retrying({ ...retries, clock }), breaking(breaker), limiting(window), timing(1000, { clock }));
  const work = policy(async (signal) => clock.sleep(900, signal))(abort.signal);
  const rejected = assert.rejects(work, { message: 'stop' });
  await clock.advance(10);
  abort.abort(new Error('stop'));
  await rejected;
  assert.equal(breaker.state, 'closed');
  assert.deepEqual(clock.pending, []);
});
