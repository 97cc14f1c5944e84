import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { asCompleted } from '../../src/resilience/index.ts';
import { isLong } from '../support/long.ts';

test('a slow task delays no other: the outcomes come in the order of their ends, on the real clock', async () => {
  const finished: string[] = [];
  const yielded: string[] = [];
  const release = Promise.withResolvers<void>();
  const tasks: Record<string, () => Promise<void>> = {
    // Ends only when everyone else has been taken: an iterator that waited for it would never end.
    slow: async () => release.promise,
    third: async () => pause(60),
    first: async () => pause(5),
    second: async () => pause(30),
    // Starts in the place that `first` leaves, and so behind `slow` in every queue.
    late: async () => pause(1),
  };
  const work = async (name: string): Promise<string> => {
    await tasks[name]?.();
    finished.push(name);
    return name;
  };
  for await (const outcome of asCompleted(Object.keys(tasks), work, { concurrency: 4 })) {
    yielded.push(outcome.item);
    if (yielded.length === 4) release.resolve();
  }
  assert.deepEqual(yielded, finished);
  assert.equal(yielded.at(-1), 'slow');
  assert.deepEqual(yielded.toSorted(), Object.keys(tasks).toSorted());
});

const mebibyte = 1024 * 1024;

test('however many tasks there are, they stay within 150 MB', async () => {
  const [tasks, heap] = isLong ? [1_000_000, 64] : [300_000, 20];
  const path = fileURLToPath(new URL('../support/many-tasks.ts', import.meta.url));
  // A heap of this size could hold neither all the tasks nor their outcomes.
  const child = spawn(process.execPath, [`--max-old-space-size=${heap}`, path, String(tasks)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (bytes: Buffer) => (output += bytes.toString()));
  const [exitCode] = (await once(child, 'close')) as [number | null];
  assert.equal(exitCode, 0);
  const { outcomes, sum, peakBytes } = JSON.parse(output) as { outcomes: number; sum: number; peakBytes: number };
  assert.equal(outcomes, tasks);
  assert.equal(sum, (tasks * (tasks - 1)) / 2);
  assert.ok(peakBytes <= 150 * mebibyte, `${Math.round(peakBytes / mebibyte)} MB at the most`);
});

async function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
