import assert from 'node:assert/strict';
import { test } from 'node:test';
import { measuring, TaskMetrics } from '../../src/resilience/task-metrics.ts';
import { FakeClock } from '../support/fake-clock.ts';

test('counts and times tasks by kind, those that run and those that failed included', async () => {
  const clock = new FakeClock();
  const metrics = new TaskMetrics({ clock });
  const quick = metrics.measure('lookup', async () => clock.sleep(10));
  const slow = metrics.measure('lookup', async () => clock.sleep(30));
  const failing = metrics.measure('load', async () => {
    await clock.sleep(20);
    throw new Error('no');
  });
  const failed = assert.rejects(failing, /no/);
  await clock.advance(20);
  await Promise.all([quick, failed]);

  const [load, lookup] = metrics.figures();
  assert.deepEqual([load!.kind, load!.count, load!.failed, load!.totalMs], ['load', 1, 1, 20]);
  assert.deepEqual([lookup!.count, lookup!.inFlight, lookup!.succeeded, lookup!.averageMs], [2, 1, 1, 10]);

  await clock.advance(10);
  await slow;
  const ended = metrics.figures()[1]!;
  assert.deepEqual([ended.inFlight, ended.succeeded, ended.totalMs, ended.averageMs], [0, 2, 40, 20]);
  // Three significant figures, as the histogram keeps.
  assert.ok(Math.abs(ended.max - 30) < 0.05 && Math.abs(ended.p50 - 10) < 0.05, `${ended.p50} ${ended.max}`);
});

test('a task that gives its failure as a value has failed', async () => {
  const metrics = new TaskMetrics();
  const failed = (value: string): boolean => value === 'failed';
  for (const value of ['done', 'failed', 'done'])
    assert.equal(await metrics.measure('contract', async () => Promise.resolve(value), { failed }), value);
  const [figures] = metrics.figures();
  assert.deepEqual([figures!.count, figures!.succeeded, figures!.failed], [3, 2, 1]);
});

test('a policy measures what it wraps and changes nothing', async () => {
  const metrics = new TaskMetrics();
  const task = measuring(metrics, 'answer')(async () => Promise.resolve(42));
  assert.equal(await task(new AbortController().signal), 42);
  assert.equal(metrics.figures()[0]!.succeeded, 1);
});
