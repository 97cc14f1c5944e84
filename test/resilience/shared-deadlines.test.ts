import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { DeadlineError } from '../../src/resilience/deadline.ts';
import { SharedDeadlines } from '../../src/resilience/shared-deadlines.ts';
import { FakeClock } from '../support/fake-clock.ts';

const reasonOf = async (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => assert.fail('it did not fail'),
    (error: unknown) => error,
  );

test('tasks with one deadline and one signal share a timer, a listener and a signal, and leave none of them behind', async () => {
  const clock = new FakeClock();
  const deadlines = new SharedDeadlines({ clock });
  const { signal } = new AbortController();
  const signals = new Set<AbortSignal>();
  const task = async (own: AbortSignal): Promise<void> => {
    signals.add(own);
    await clock.sleep(10);
  };
  const work = Promise.all(Array.from({ length: 5 }, async () => deadlines.run(1_000, task, { signal })));
  await clock.settle();
  assert.deepEqual(clock.pending, [10, 10, 10, 10, 10, 1_000]);
  assert.equal(getEventListeners(signal, 'abort').length, 1);
  assert.equal(signals.size, 1);
  await clock.finish(work);
  assert.deepEqual(clock.pending, []);
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});

test('at the deadline all its tasks are aborted, their real end is awaited, and what they failed with is the cause', async () => {
  const clock = new FakeClock();
  const deadlines = new SharedDeadlines({ clock });
  const obedient = async (signal: AbortSignal): Promise<void> => clock.sleep(1_000, signal);
  const failing = async (signal: AbortSignal): Promise<void> => {
    await clock.sleep(1_000, signal).catch(() => undefined);
    throw new Error('socket destroyed');
  };
  const deaf = async (): Promise<string> => {
    await clock.sleep(500);
    return 'late';
  };
  const inTime = async (): Promise<string> => clock.sleep(99).then(() => 'value');
  const results = Promise.all([
    reasonOf(deadlines.run(100, obedient)),
    reasonOf(deadlines.run(100, failing)),
    reasonOf(deadlines.run(100, deaf)),
    deadlines.run(100, inTime),
    deadlines.run(600, deaf),
  ]);
  const [first, second, third, ...others] = await clock.finish(results);
  for (const error of [first, second, third]) {
    assert.ok(error instanceof DeadlineError);
    assert.equal(error.deadline, 100);
  }
  assert.equal(((second as DeadlineError).cause as Error).message, 'socket destroyed');
  assert.deepEqual(others, ['value', 'late']);
  assert.equal(clock.now(), 500);
  assert.deepEqual(clock.pending, []);
});

test("an abort by one caller is that caller's reason, and nobody else's", async () => {
  const clock = new FakeClock();
  const deadlines = new SharedDeadlines({ clock });
  const [one, other] = [new AbortController(), new AbortController()];
  const task = async (signal: AbortSignal): Promise<string> => clock.sleep(50, signal).then(() => 'value');
  const aborted = reasonOf(deadlines.run(100, task, { signal: one.signal }));
  const unharmed = deadlines.run(100, task, { signal: other.signal });
  await clock.advance(10);
  one.abort('stop');
  assert.equal(await aborted, 'stop');
  assert.equal(await clock.finish(unharmed), 'value');
});

test('what could only begin after its deadline, or after its caller has gone, is not begun', async () => {
  const clock = new FakeClock({ now: 200 });
  const deadlines = new SharedDeadlines({ clock });
  const task = async (): Promise<never> => Promise.reject(new Error('it began'));
  await assert.rejects(deadlines.run(100, task), { code: 'DEADLINE_PASSED', deadline: 100 });
  const signal = AbortSignal.abort(new Error('gone'));
  await assert.rejects(deadlines.run(300, task, { signal }), { message: 'gone' });
  assert.deepEqual(clock.pending, []);
});
