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
 * All results in order, of waits started together: all or nothing. When one fails the others' signal aborts, their real
 * end is awaited, and the first error is thrown.
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

/** Every item's result or failure, as data and in order, with a bound on how many run at once. Throws only when aborted. */
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
 * Each outcome the moment its task ends. Items are pulled one at a time, when a task may start: at most `concurrency`
 * run, and when the consumer is slow at most as many more wait to be taken.
 *
 * Aborted from outside: nothing more is pulled, those running end and are still yielded, then the signal's reason is
 * thrown. A source that throws: those running end and are yielded, then its error is thrown. A consumer that leaves the
 * loop: the tasks' signal aborts and their real end is awaited. No task outlives the loop.
 */
export async function* asCompleted<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  task: (item: T, signal: AbortSignal) => Promise<R>,
  { concurrency, signal }: CollectOptions,
): AsyncGenerator<Settled<T, R>, void, undefined> {
  checkedNumber(concurrency, { name: 'concurrency', least: 1 });
  signal?.throwIfAborted();
  using linked = new LinkedAbort(signal);
  // A count and not a Set of promises: one that is added to and deleted from all night leaves dead tables that keep
  // their successors alive until the old generation is collected (198 MB at the peak of a million tasks, this 120).
  let running = 0;
  const done = new LinkedQueue<Settled<T, R>>();
  const room = new Bell();
  const news = new Bell();

  const run = async (item: T): Promise<void> => {
    let outcome: Settled<T, R>;
    try {
      outcome = { item, status: 'fulfilled', value: await task(item, linked.signal) };
    } catch (reason) {
      outcome = { item, status: 'rejected', reason };
    }
    done.push(outcome);
    running -= 1;
    room.ring();
    news.ring();
  };
  const isFull = (): boolean => running >= concurrency || running + done.length >= 2 * concurrency;
  const feed = async (): Promise<void> => {
    for await (const item of items) {
      // Checked after the pull too: the source may have kept us waiting while the signal aborted.
      if (linked.signal.aborted) return;
      running += 1;
      // Never rejects, and counts as running until it has ended: nobody leaves before.
      void run(item);
      // oxlint-disable-next-line no-await-in-loop -- the wait is the back pressure
      while (isFull() && !linked.signal.aborted) await room.next();
      if (linked.signal.aborted) return;
    }
  };

  const onAbort = (): void => room.ring();
  linked.signal.addEventListener('abort', onAbort, { once: true });
  let fed: { error?: unknown } | undefined;
  const feeding = feed()
    .then(
      () => void (fed = {}),
      (error: unknown) => void (fed = { error }),
    )
    .then(() => news.ring());
  try {
    while (!fed || running > 0 || done.length > 0) {
      const outcome = done.shift();
      if (outcome) {
        room.ring();
        yield outcome;
      } else {
        // oxlint-disable-next-line no-await-in-loop -- outcomes are yielded as they come
        await news.next();
      }
    }
    if ('error' in fed) throw fed.error;
    signal?.throwIfAborted();
  } finally {
    linked.abort(leaving);
    await feeding;
    // oxlint-disable-next-line no-await-in-loop -- waits for one task after the other to end
    while (running > 0) await news.next();
  }
}

const leaving = new DOMException('Nobody takes the outcomes any more.', 'AbortError');

/** Wakes the one who waits for it; a ring while nobody waits is kept for the next who does. */
class Bell {
  #rung = false;
  #wake: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  async next(): Promise<void> {
    if (!this.#rung) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    this.#rung = false;
  }
}
