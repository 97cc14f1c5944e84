import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { Scope } from '../../src/resilience/scope.ts';
import { FakeClock } from '../support/fake-clock.ts';

test('joining gives every outcome in the order of spawning', async () => {
  const clock = new FakeClock();
  await using scope = new Scope({ mode: 'failFast' });
  const slow = scope.spawn(async () => clock.sleep(20).then(() => 'slow'));
  scope.spawn(async () => clock.sleep(10).then(() => 'quick'));
  assert.deepEqual(await clock.finish(scope.join()), [
    { status: 'fulfilled', value: 'slow' },
    { status: 'fulfilled', value: 'quick' },
  ]);
  assert.equal(await slow.result(), 'slow');
});

test('failing fast, one failure cancels the others, and is thrown after they have ended', async () => {
  const clock = new FakeClock();
  let ended = 0;
  await using scope = new Scope({ mode: 'failFast' });
  scope.spawn(async (signal) => {
    try {
      await clock.sleep(1000, signal);
    } catch {
      await clock.sleep(5);
      ended = clock.now();
      throw new Error('second');
    }
  });
  const failing = scope.spawn(async () => {
    await clock.sleep(10);
    throw new Error('first');
  });
  await assert.rejects(clock.finish(scope.join()), { message: 'first' });
  assert.equal(ended, 15);
  await assert.rejects(failing.result(), { message: 'first' });
  assert.throws(() => scope.spawn(async () => Promise.resolve()), { code: 'SCOPE_ENDED' });
});

test('in collect mode a failure is data and cancels no other task', async () => {
  const clock = new FakeClock();
  await using scope = new Scope({ mode: 'collect' });
  scope.spawn(async () => Promise.reject(new Error('one')));
  scope.spawn(async (signal) => clock.sleep(10, signal).then(() => 'two'));
  assert.deepEqual(await clock.finish(scope.join()), [
    { status: 'rejected', reason: new Error('one') },
    { status: 'fulfilled', value: 'two' },
  ]);
});

test('a task spawned by a task is joined too', async () => {
  const clock = new FakeClock();
  await using scope = new Scope({ mode: 'failFast' });
  scope.spawn(async () => {
    await clock.sleep(10);
    scope.spawn(async () => clock.sleep(10));
  });
  assert.equal((await clock.finish(scope.join())).length, 2);
  assert.equal(clock.now(), 20);
});

test('a cancelled parent cancels the tasks, and joining throws its reason when they have ended', async () => {
  const clock = new FakeClock();
  const parent = new AbortController();
  await using scope = new Scope({ mode: 'collect', signal: parent.signal });
  let ended = false;
  scope.spawn(async (signal) => {
    await clock.sleep(1000, signal).catch(() => undefined);
    await clock.sleep(5);
    ended = true;
  });
  const joined = assert.rejects(scope.join(), { message: 'cancelled' });
  await clock.settle();
  parent.abort(new Error('cancelled'));
  assert.throws(() => scope.spawn(async () => Promise.resolve()), { message: 'cancelled' });
  await clock.advance(5);
  await joined;
  assert.equal(ended, true);
});

test('a scope whose owner has already been cancelled starts nothing', async () => {
  await using scope = new Scope({ mode: 'collect', signal: AbortSignal.abort(new Error('cancelled')) });
  assert.throws(() => scope.spawn(async () => Promise.resolve()), { message: 'cancelled' });
});

test('a block left by an error has no task left behind, and no listener', async () => {
  const clock = new FakeClock();
  const parent = new AbortController();
  let ended = 0;
  const block = async (): Promise<void> => {
    await using scope = new Scope({ mode: 'failFast', signal: parent.signal });
    scope.spawn(async (signal) => {
      await clock.sleep(1000, signal).catch(() => undefined);
      await clock.sleep(5);
      ended = clock.now();
    });
    await clock.sleep(1);
    throw new Error('left');
  };
  await assert.rejects(clock.finish(block()), { message: 'left' });
  assert.equal(ended, 6);
  assert.deepEqual(clock.pending, []);
  assert.equal(getEventListeners(parent.signal, 'abort').length, 0);
});

test('a failure that was not read is thrown when the block is left', async () => {
  const clock = new FakeClock();
  const block = async (): Promise<void> => {
    await using scope = new Scope({ mode: 'failFast' });
    scope.spawn(async () => Promise.reject(new Error('unseen')));
    await clock.settle();
  };
  await assert.rejects(block(), { message: 'unseen' });
});
