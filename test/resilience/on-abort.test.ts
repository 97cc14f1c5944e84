import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { offAbort, onAbort } from '../../src/resilience/on-abort.ts';

const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

test('all followers of a signal get its reason in order, over a single listener', () => {
  const abort = new AbortController();
  const told: unknown[] = [];
  for (const name of ['first', 'second', 'third']) onAbort(abort.signal, (reason) => told.push([name, reason]));
  assert.equal(listeners(abort.signal), 1);
  abort.abort('stop');
  assert.deepEqual(told, [
    ['first', 'stop'],
    ['second', 'stop'],
    ['third', 'stop'],
  ]);
  assert.equal(listeners(abort.signal), 0);
});

test('a removed follower is not called, also when another follower removes it', () => {
  const abort = new AbortController();
  const told: string[] = [];
  const left = (): void => void told.push('left');
  const late = (): void => void told.push('late');
  onAbort(abort.signal, left);
  onAbort(abort.signal, () => {
    told.push('stayed');
    offAbort(abort.signal, late);
  });
  onAbort(abort.signal, late);
  offAbort(abort.signal, left);
  abort.abort();
  assert.deepEqual(told, ['stayed']);
});

test('removing the last follower removes the listener, and the signal can be followed again', () => {
  const abort = new AbortController();
  let told = 0;
  const follower = (): void => void (told += 1);
  onAbort(abort.signal, follower);
  offAbort(abort.signal, follower);
  offAbort(abort.signal, follower);
  assert.equal(listeners(abort.signal), 0);
  onAbort(abort.signal, follower);
  assert.equal(listeners(abort.signal), 1);
  abort.abort();
  assert.equal(told, 1);
});
