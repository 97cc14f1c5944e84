import { setTimeout as delay } from 'node:timers/promises';
import Bottleneck from 'bottleneck';
import * as cockatiel from 'cockatiel';
import Opossum from 'opossum';
import PQueue from 'p-queue';
import { withTimeout } from '../../src/resilience/index.ts';
import type { Contestant, Figures, Row } from './row.ts';

const tasks = 20;
const timeout = 20;
/** What a task needs to end after it was told to: a socket to close, a transaction to roll back. */
const windDown = 30;
const longest = 100;

type Task = (signal?: AbortSignal) => Promise<void>;
type Timed = (task: Task) => Promise<unknown>;

const timedBy: Partial<Record<Contestant, () => Timed>> = {
  nightfill: () => async (task) => withTimeout(timeout, task),
  bottleneck() {
    const limiter = new Bottleneck();
    return async (task) => limiter.schedule({ expiration: timeout }, task);
  },
  opossum: () => async (task) => new Opossum(task, { timeout }).fire(),
  // Its other strategy, "aggressive", leaves all of them running.
  cockatiel() {
    const policy = cockatiel.timeout(timeout, cockatiel.TimeoutStrategy.Cooperative);
    return async (task) => policy.execute(async ({ signal }) => task(signal));
  },
  'p-queue'() {
    const queue = new PQueue({ timeout });
    return async (task) => queue.add(async ({ signal }) => task(signal));
  },
};

async function stillRunning(timed: Timed): Promise<number> {
  let late = 0;
  await Promise.all(
    Array.from({ length: tasks }, async () => {
      let running = false;
      const task: Task = async (signal) => {
        running = true;
        try {
          await delay(longest, undefined, signal ? { signal } : {});
        } catch {
          await delay(windDown);
          throw new Error('wound down');
        } finally {
          running = false;
        }
      };
      await timed(task).catch(() => undefined);
      if (running) late += 1;
    }),
  );
  await delay(longest);
  return late;
}

/** Whether what timed out has ended, so that its slot, socket or lock may be given to another. */
export async function timeoutHistory(): Promise<Row[]> {
  const figures: Figures = {};
  for (const [name, make] of Object.entries(timedBy)) figures[name as Contestant] = await stillRunning(make());
  return [{ what: `Timeout: of ${tasks} tasks, still running when it is reported`, figures, best: 'least' }];
}
