import { checkedNumber } from './checked-number.ts';
import { LinkedAbort } from './linked-abort.ts';
import { LinkedQueue } from './linked-queue.ts';

export interface CollectOptions {
  /** How many tasks run at once. */
  concurrency: number;
  signal?: AbortSignal | undefined;
}

export type Settled<T, R> =
  | { item: T; status: 'fulfilled'; value: R }
  | { item: T; status: 'rejected'; reason: unknown };

type Tasks<Results extends readonly unknown[]> = {
  [Index in keyof Results]: (signal: AbortSignal) => Promise<Results[Index]>;
};

/**
 * Starts all tasks together and gives their results in order, all or nothing. When one fails, aborts the others' signal,
 * waits until they have ended, and throws the first error.
 */
export async function gather<const Results extends readonly unknown[]>(
  tasks: Tasks<Results>,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<Results> {
  signal?.throwIfAborted();
  using linked = new LinkedAbort(signal);
  let failure: { error: unknown } | undefined;
  const results: unknown[] = [];
  await Promise.all(
    tasks.map(async (task, index) => {
      try {
        results[index] = await task(linked.signal);
      } catch (error) {
        failure ??= { error };
        linked.abort(error);
      }
    }),
  );
  if (failure) throw failure.error;
  return results as unknown as Results;
}

/** Every item's result or failure as data, in order; at most `concurrency` tasks run at once. Throws only when aborted. */
export async function gatherWithLimit<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  task: (item: T, signal: AbortSignal) => Promise<R>,
  options: CollectOptions,
): Promise<Settled<T, R>[]> {
  const settled: Settled<T, R>[] = [];
  const numbered = asCompleted(withIndex(items), async ({ item }, signal) => task(item, signal), options);
  for await (const { item: place, ...outcome } of numbered) settled[place.index] = { item: place.item, ...outcome };
  return settled;
}

async function* withIndex<T>(items: Iterable<T> | AsyncIterable<T>): AsyncGenerator<{ item: T; index: number }> {
  let index = 0;
  for await (const item of items) {
    yield { item, index };
    index += 1;
  }
}

/**
 * Each outcome as soon as its task ends. Pulls an item only when a task may start: at most `concurrency` tasks run, and
 * at most as many finished outcomes wait for a slow consumer.
 *
 * - Caller's signal aborts: pulls no more items, yields the outcomes of running tasks, then throws the signal's reason.
 * - Source throws: yields the outcomes of running tasks, then throws the source's error.
 * - Consumer leaves the loop: aborts the tasks' signal and waits until they have ended. No task outlives the loop.
 */
export async function* asCompleted<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  task: (item: T, signal: AbortSignal) => Promise<R>,
  { concurrency, signal }: CollectOptions,
): AsyncGenerator<Settled<T, R>, void, undefined> {
  checkedNumber(concurrency, { name: 'concurrency', least: 1 });
  signal?.throwIfAborted();
  using linked = new LinkedAbort(signal);
  // Not a Set of promises: after millions of additions and deletions its old hash tables stay in memory until a major
  // garbage collection (a million tasks peaked at 198 MB with a Set, at 120 MB with this count).
  let running = 0;
  const done = new LinkedQueue<Settled<T, R>>();
  const spaceFreed = new AutoResetEvent();
  const progressed = new AutoResetEvent();

  const run = async (item: T): Promise<void> => {
    let outcome: Settled<T, R>;
    try {
      outcome = { item, status: 'fulfilled', value: await task(item, linked.signal) };
    } catch (reason) {
      outcome = { item, status: 'rejected', reason };
    }
    done.push(outcome);
    running -= 1;
    spaceFreed.set();
    progressed.set();
  };
  const isFull = (): boolean => running >= concurrency || running + done.length >= 2 * concurrency;
  const feed = async (): Promise<void> => {
    for await (const item of items) {
      // The signal may have aborted while the source produced this item.
      if (linked.signal.aborted) return;
      running += 1;
      // `run` never rejects, and `finally` below waits until `running` is 0.
      void run(item);
      // oxlint-disable-next-line no-await-in-loop -- the wait is the back pressure
      while (isFull() && !linked.signal.aborted) await spaceFreed.wait();
      if (linked.signal.aborted) return;
    }
  };

  const onAbort = (): void => spaceFreed.set();
  linked.signal.addEventListener('abort', onAbort, { once: true });
  let fed: { error?: unknown } | undefined;
  const feeding = feed()
    .then(
      () => void (fed = {}),
      (error: unknown) => void (fed = { error }),
    )
    .then(() => progressed.set());
  try {
    while (!fed || running > 0 || done.length > 0) {
      const outcome = done.shift();
      if (outcome) {
        spaceFreed.set();
        yield outcome;
      } else {
        // oxlint-disable-next-line no-await-in-loop -- outcomes are yielded as they come
        await progressed.wait();
      }
    }
    if ('error' in fed) throw fed.error;
    signal?.throwIfAborted();
  } finally {
    linked.abort(consumerLeft);
    await feeding;
    // oxlint-disable-next-line no-await-in-loop -- waits for one task after the other to end
    while (running > 0) await progressed.wait();
  }
}

const consumerLeft = new DOMException('The consumer left the loop.', 'AbortError');

/** Wakes its one waiter. A `set` while nobody waits makes the next `wait` return at once. */
class AutoResetEvent {
  #isSet = false;
  #resume: (() => void) | undefined;

  set(): void {
    this.#isSet = true;
    this.#resume?.();
  }

  async wait(): Promise<void> {
    if (!this.#isSet) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#resume = resolve;
      await promise;
    }
    this.#isSet = false;
  }
}
