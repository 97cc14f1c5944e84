import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BreakerOpenError } from '../../src/resilience/circuit-breaker.ts';
import { NightfillError } from '../../src/resilience/failure.ts';
import { type LastKnown, withLastKnown } from '../../src/resilience/fallback.ts';
import { FakeClock } from '../support/fake-clock.ts';

const hour = 3_600_000;
const clock = new FakeClock({ now: 0, wall: 100 * hour });
const failing = async (): Promise<never> => Promise.reject(new Error('primary'));
const known = (asOf: number) => async (): Promise<LastKnown<number>> => Promise.resolve({ value: 7, asOf });

test('while the primary answers the last known value is not even read', async () => {
  const lastKnown = async (): Promise<never> => Promise.reject(new Error('was read'));
  const sourced = await withLastKnown(async () => Promise.resolve(1), { lastKnown, maxAge: hour, clock });
  assert.deepEqual(sourced, { source: 'primary', value: 1 });
});

test('when the primary fails the last known value comes with its time and the reason', async () => {
  const sourced = await withLastKnown(failing, { lastKnown: known(52 * hour), maxAge: 48 * hour, clock });
  assert.deepEqual(sourced, { source: 'last-known', value: 7, asOf: 52 * hour, reason: new Error('primary') });
});

test('an open breaker is a failure like any other', async () => {
  const primary = async (): Promise<number> => Promise.reject(new BreakerOpenError({ retryAt: 1 }));
  const sourced = await withLastKnown(primary, { lastKnown: known(99 * hour), maxAge: hour, clock });
  assert.equal(sourced.source, 'last-known');
});

test("a value too old, or none, leaves the primary's own error", async () => {
  const tooOld = withLastKnown(failing, { lastKnown: known(52 * hour - 1), maxAge: 48 * hour, clock });
  await assert.rejects(tooOld, { message: 'primary' });
  const none = withLastKnown(failing, { lastKnown: async () => Promise.resolve(undefined), maxAge: Infinity, clock });
  await assert.rejects(none, { message: 'primary' });
});

test('a cancelled primary is not stood in for, nor a failure the caller excludes', async () => {
  const aborted = async (): Promise<number> => Promise.reject(new DOMException('stop', 'AbortError'));
  await assert.rejects(withLastKnown(aborted, { lastKnown: known(99 * hour), maxAge: hour, clock }), {
    name: 'AbortError',
  });
  const excluded = withLastKnown(failing, {
    lastKnown: known(99 * hour),
    maxAge: hour,
    fallbackIf: () => false,
    clock,
  });
  await assert.rejects(excluded, { message: 'primary' });
});

test('a store that cannot be read is said to be so, with both causes', async () => {
  const lastKnown = async (): Promise<never> => Promise.reject(new Error('store'));
  const error: unknown = await withLastKnown(failing, { lastKnown, maxAge: hour, clock }).catch((reason) => reason);
  assert.ok(error instanceof NightfillError && error.cause instanceof AggregateError);
  assert.equal(error.code, 'LAST_KNOWN_UNREADABLE');
  assert.deepEqual(error.cause.errors, [new Error('primary'), new Error('store')]);
});
