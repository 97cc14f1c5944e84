import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { DeadlineError } from '../../src/resilience/deadline.ts';
import { UsageError } from '../../src/resilience/failure.ts';
import { RetryAbandonedError, retry, type RetryOptions } from '../../src/resilience/retry.ts';
import { FakeClock } from '../support/fake-clock.ts';

const plain = {
  attempts: 5,
  backoff: 'exponential',
  baseDelay: 1000,
  maxDelay: 30_000,
  jitter: false,
  maxElapsed: 120_000,
} as const satisfies RetryOptions;

/** A task that fails a number of times, and the times it was called at. */
function flaky(clock: FakeClock, failures: number): { task: (attempt: number) => Promise<string>; calls: number[] } {
  const calls: number[] = [];
  const task = async (attempt: number): Promise<string> => {
    calls.push(clock.now());
    await clock.settle();
    assert.equal(attempt, calls.length);
    if (attempt <= failures) throw new Error(`failure ${attempt}`);
    return 'value';
  };
  return { task, calls };
}

test('a task that succeeds at last gives its value, after the delays of its backoff', async () => {
  const clock = new FakeClock();
  const { task, calls } = flaky(clock, 4);
  assert.equal(await clock.finish(retry(task, { ...plain, clock })), 'value');
  assert.deepEqual(calls, [0, 1000, 3000, 7000, 15_000]);
});

test('without options there are 5 attempts with exponential, jittered delays from 200 ms to 30 s, for 2 minutes', async () => {
  const clock = new FakeClock();
  clock.random = () => 1;
  const { task, calls } = flaky(clock, Infinity);
  await assert.rejects(clock.finish(retry(task, { clock })), /failure 5/);
  assert.deepEqual(calls, [0, 200, 600, 1400, 3000]);

  const jittered = new FakeClock();
  jittered.random = () => 0.5;
  const half = flaky(jittered, 1);
  assert.equal(await jittered.finish(retry(half.task, { clock: jittered })), 'value');
  assert.deepEqual(half.calls, [0, 100], 'the delay is drawn from [0, delay]');

  const patient = new FakeClock();
  patient.random = () => 1;
  const many = flaky(patient, Infinity);
  await assert.rejects(patient.finish(retry(many.task, { attempts: Infinity, clock: patient })), /failure 11/);
  assert.deepEqual(
    many.calls.slice(-4).map((at, i, all) => at - (all[i - 1] ?? at)),
    [0, 25_600, 30_000, 30_000],
  );
  assert.equal(await retry(async () => Promise.resolve('at once')), 'at once');
});

test('the number of attempts counts the first, and the last error is the one thrown', async () => {
  const clock = new FakeClock();
  const { task, calls } = flaky(clock, Infinity);
  await assert.rejects(clock.finish(retry(task, { ...plain, attempts: 3, clock })), { message: 'failure 3' });
  assert.equal(calls.length, 3);
  assert.deepEqual(clock.pending, []);
});

test('full jitter draws each delay from zero to the delay', async () => {
  const clock = new FakeClock({ seed: 7 });
  const drawn: number[] = [];
  const random = clock.random.bind(clock);
  clock.random = () => {
    const value = random();
    drawn.push(value);
    return value;
  };
  const { task } = flaky(clock, 3);
  const delays: number[] = [];
  const onRetry = (_attempt: number, _error: unknown, delay: number): void => void delays.push(delay);
  await clock.finish(retry(task, { ...plain, jitter: true, onRetry, clock }));
  assert.equal(drawn.length, 3);
  assert.deepEqual(
    delays,
    drawn.map((value, index) => value * 1000 * 2 ** index),
  );
});

test('an error that is not to be retried is thrown at once', async () => {
  const clock = new FakeClock();
  const { task, calls } = flaky(clock, Infinity);
  await assert.rejects(retry(task, { ...plain, retryIf: () => false, clock }), { message: 'failure 1' });
  assert.equal(calls.length, 1);
});

test('by default an error that is not transient is not retried', async () => {
  const clock = new FakeClock();
  let calls = 0;
  const task = async (): Promise<never> => {
    calls += 1;
    await clock.settle();
    throw new UsageError('wrong');
  };
  await assert.rejects(clock.finish(retry(task, { ...plain, clock })), UsageError);
  assert.equal(calls, 1);
});

test('the wait that the server asks for is kept, however short the longest backoff', async () => {
  const clock = new FakeClock();
  const { task, calls } = flaky(clock, 2);
  const wishes = [45_000, 10];
  const retryAfter = (): number | undefined => wishes.shift();
  await clock.finish(retry(task, { ...plain, maxDelay: 30_000, retryAfter, clock }));
  assert.deepEqual(calls, [0, 45_000, 47_000]);
});

test('a stated wait longer than the time left ends the retries at once, with the time and the error', async () => {
  const clock = new FakeClock({ now: 500 });
  const { task, calls } = flaky(clock, Infinity);
  const error: unknown = await retry(task, { ...plain, maxElapsed: 60_000, retryAfter: () => 60_001, clock }).catch(
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof RetryAbandonedError);
  assert.equal(error.retryAt, 60_501);
  assert.equal(error.attempts, 1);
  assert.equal((error.cause as Error).message, 'failure 1');
  assert.equal(calls.length, 1);
  assert.equal(clock.now(), 500);
});

test('a stated wait beyond the deadline ends the retries at once', async () => {
  const clock = new FakeClock();
  const { task } = flaky(clock, Infinity);
  await assert.rejects(retry(task, { ...plain, deadline: 999, retryAfter: () => 1000, clock }), RetryAbandonedError);
});

test('a wait of a month is not cut to a millisecond by the longest timer', async () => {
  const clock = new FakeClock();
  const { task, calls } = flaky(clock, 1);
  const month = 31 * 86_400_000;
  const sleep = clock.sleep.bind(clock);
  clock.sleep = async (ms, signal) => sleep(ms > 2 ** 31 - 1 ? 1 : ms, signal);
  await clock.finish(retry(task, { ...plain, maxElapsed: Infinity, retryAfter: () => month, clock }));
  assert.deepEqual(calls, [0, month]);
});

test('one elapsed clock holds for all attempts together', async () => {
  const clock = new FakeClock();
  const { task, calls } = flaky(clock, Infinity);
  const work = retry(task, { ...plain, attempts: Infinity, maxElapsed: 10_000, clock });
  await assert.rejects(clock.finish(work), { message: 'failure 4' });
  assert.deepEqual(calls, [0, 1000, 3000, 7000]);
  assert.equal(clock.now(), 7000);
});

test('a retry that could not start before the deadline is not started, and not waited for', async () => {
  const clock = new FakeClock();
  const { task, calls } = flaky(clock, Infinity);
  await assert.rejects(clock.finish(retry(task, { ...plain, deadline: 2999, clock })), { message: 'failure 2' });
  assert.deepEqual(calls, [0, 1000]);
  assert.equal(clock.now(), 1000);
});

test('after the deadline nothing is started at all', async () => {
  const clock = new FakeClock({ now: 10 });
  const { task, calls } = flaky(clock, 0);
  await assert.rejects(retry(task, { ...plain, deadline: 9, clock }), DeadlineError);
  assert.equal(calls.length, 0);
});

test('an abort during the wait rejects at once with its reason and leaves nothing behind', async () => {
  const clock = new FakeClock();
  const { task, calls } = flaky(clock, Infinity);
  const abort = new AbortController();
  const work = retry(task, { ...plain, clock, signal: abort.signal });
  const rejected = assert.rejects(work, { message: 'no longer wanted' });
  await clock.advance(500);
  assert.equal(clock.pending.length, 1);
  abort.abort(new Error('no longer wanted'));
  await rejected;
  assert.equal(clock.now(), 500);
  assert.equal(calls.length, 1);
  assert.deepEqual(clock.pending, []);
  assert.equal(getEventListeners(abort.signal, 'abort').length, 0);
});

test('an abort during an attempt lets it end and starts no other', async () => {
  const clock = new FakeClock();
  const abort = new AbortController();
  let calls = 0;
  const task = async (): Promise<never> => {
    calls += 1;
    await clock.sleep(100);
    abort.abort();
    throw new Error('as it ended');
  };
  await assert.rejects(clock.finish(retry(task, { ...plain, clock, signal: abort.signal })), {
    message: 'as it ended',
  });
  assert.equal(calls, 1);
});

test('the listener may be slow: the retry waits for it, and its time counts as waiting', async () => {
  const clock = new FakeClock();
  const { task, calls } = flaky(clock, 2);
  const seen: [number, string, number][] = [];
  const onRetry = async (attempt: number, error: unknown, delay: number): Promise<void> => {
    seen.push([attempt, (error as Error).message, delay]);
    await clock.sleep(attempt === 1 ? 400 : 5000);
  };
  await clock.finish(retry(task, { ...plain, onRetry, clock }));
  assert.deepEqual(seen, [
    [1, 'failure 1', 1000],
    [2, 'failure 2', 2000],
  ]);
  assert.deepEqual(calls, [0, 1000, 6000]);
});

test('a listener so slow that no time is left ends the retrying with the last error', async () => {
  const clock = new FakeClock();
  const { task, calls } = flaky(clock, Infinity);
  const onRetry = async (): Promise<void> => clock.sleep(6000);
  await assert.rejects(clock.finish(retry(task, { ...plain, onRetry, deadline: 5000, clock })), {
    message: 'failure 1',
  });
  assert.deepEqual(calls, [0]);
});

test('fewer than one attempt is a mistake', async () => {
  const clock = new FakeClock();
  const { task } = flaky(clock, 0);
  await assert.rejects(retry(task, { ...plain, attempts: 0, clock }), UsageError);
  await assert.rejects(retry(task, { ...plain, attempts: Number.NaN, clock }), UsageError);
});
