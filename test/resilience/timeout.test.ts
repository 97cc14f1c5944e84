import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { DeadlineError, withDeadline } from '../../src/resilience/deadline.ts';
import { shield } from '../../src/resilience/shield.ts';
import { TimeoutError, withTimeout } from '../../src/resilience/timeout.ts';
import { FakeClock } from '../support/fake-clock.ts';

test('a task that ends in time gives its value and leaves nothing behind', async () => {
  const clock = new FakeClock();
  const abort = new AbortController();
  const task = async (): Promise<string> => {
    await clock.sleep(99);
    return 'value';
  };
  assert.equal(await clock.finish(withTimeout(100, task, { clock, signal: abort.signal })), 'value');
  assert.deepEqual(clock.pending, []);
  assert.equal(getEventListeners(abort.signal, 'abort').length, 0);
});

test('a task that takes too long is aborted, and its real end is awaited', async () => {
  const clock = new FakeClock();
  let ended = 0;
  const task = async (signal: AbortSignal): Promise<never> => {
    try {
      await clock.sleep(10_000, signal);
      throw new Error('was not aborted');
    } finally {
      await clock.sleep(50);
      ended = clock.now();
    }
  };
  const work = withTimeout(100, task, { clock });
  await assert.rejects(clock.finish(work), { name: 'TimeoutError', code: 'TIMEOUT', class: 'transient', timeout: 100 });
  assert.equal(ended, 150);
  assert.deepEqual(clock.pending, []);
});

test('a task that ignores its signal delays the TimeoutError until it ends, and its value is dropped', async () => {
  const clock = new FakeClock();
  const task = async (): Promise<string> => {
    await clock.sleep(500);
    return 'late';
  };
  await assert.rejects(clock.finish(withTimeout(100, task, { clock })), TimeoutError);
  assert.equal(clock.now(), 500);
});

test('what the task failed with after its time is the cause', async () => {
  const clock = new FakeClock();
  const task = async (signal: AbortSignal): Promise<void> => {
    await clock.sleep(1000, signal).catch(() => undefined);
    throw new Error('socket destroyed');
  };
  const error: unknown = await clock.finish(withTimeout(100, task, { clock })).catch((reason: unknown) => reason);
  assert.ok(error instanceof TimeoutError);
  assert.equal((error.cause as Error).message, 'socket destroyed');
});

test("an abort by the caller is the caller's reason, not a timeout", async () => {
  const clock = new FakeClock();
  const abort = new AbortController();
  const work = withTimeout(100, async (signal) => clock.sleep(1000, signal), { clock, signal: abort.signal });
  const rejected = assert.rejects(work, { message: 'cancelled' });
  await clock.advance(50);
  abort.abort(new Error('cancelled'));
  await rejected;
  assert.deepEqual(clock.pending, []);
});

test('a time that passes while a cancelled task ends does not make it a timeout', async () => {
  const clock = new FakeClock();
  const abort = new AbortController();
  const task = async (signal: AbortSignal): Promise<void> => {
    await clock.sleep(1000, signal).catch(() => undefined);
    await clock.sleep(100);
    signal.throwIfAborted();
  };
  const rejected = assert.rejects(withTimeout(100, task, { clock, signal: abort.signal }), { message: 'cancelled' });
  await clock.advance(50);
  abort.abort(new Error('cancelled'));
  await clock.advance(100);
  await rejected;
});

test('a task whose caller has already gone is not started', async () => {
  let started = false;
  const task = async (): Promise<void> => Promise.resolve(void (started = true));
  await assert.rejects(withTimeout(100, task, { signal: AbortSignal.abort(new Error('gone')) }), { message: 'gone' });
  assert.equal(started, false);
});

test('a task that fails by itself fails with its own error', async () => {
  const clock = new FakeClock();
  await assert.rejects(
    withTimeout(100, async () => Promise.reject(new Error('own')), { clock }),
    { message: 'own' },
  );
  assert.deepEqual(clock.pending, []);
});

test('without a bound no timer is set', async () => {
  const clock = new FakeClock();
  const work = withTimeout(Infinity, async () => clock.sleep(10), { clock });
  await clock.settle();
  assert.deepEqual(clock.pending, [10]);
  await clock.finish(work);
});

test('a deadline bounds the work at a point in time, and nothing is started after it', async () => {
  const clock = new FakeClock({ now: 900 });
  const late = withDeadline(1000, async (signal) => clock.sleep(101, signal), { clock });
  await assert.rejects(clock.finish(late), { name: 'DeadlineError', deadline: 1000 });
  assert.equal(clock.now(), 1000);
  await clock.advance(1);
  let started = false;
  const task = async (): Promise<void> => Promise.resolve(void (started = true));
  await assert.rejects(withDeadline(1000, task, { clock }), DeadlineError);
  assert.equal(started, false);
});

test('a shielded task runs to its end although its parent is cancelled', async () => {
  const clock = new FakeClock();
  let committed = false;
  const task = async (signal: AbortSignal): Promise<void> => {
    await clock.sleep(10, signal).catch(() => undefined);
    await shield(async (own) => clock.sleep(100, own));
    committed = true;
  };
  await assert.rejects(clock.finish(withTimeout(5, task, { clock })), TimeoutError);
  assert.equal(committed, true);
  assert.equal(clock.now(), 105);
});

test('a shield may have a limit of its own', async () => {
  const clock = new FakeClock();
  const work = shield(async (signal) => clock.sleep(1000, signal), { limit: 200, clock });
  await assert.rejects(clock.finish(work), TimeoutError);
  assert.equal(clock.now(), 200);
});
