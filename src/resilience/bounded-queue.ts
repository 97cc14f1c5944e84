import { checkedNumber } from './checked-number.ts';
import { NightfillError } from './failure.ts';
import { LinkedQueue } from './linked-queue.ts';

export interface BoundedQueueOptions<T> {
  /** How many items it may hold. */
  items: number;
  /** How many bytes its items may have in total. Default: no limit. */
  bytes?: number;
  /** Bytes of one item; without it `bytes` has no effect. */
  sizeOf?: (item: T) => number;
}

/** An item was pushed into a closed queue. */
export class QueueClosedError extends NightfillError {
  constructor() {
    super({ code: 'QUEUE_CLOSED', class: 'system', message: 'The queue is closed and takes no more items.' });
  }
}

interface Producer<T> {
  item: T;
  size: number;
  admit: () => void;
  refuse: (error: unknown) => void;
}

interface Consumer<T> {
  give: (result: IteratorResult<T, undefined>) => void;
  fail: (error: unknown) => void;
}

/**
 * Hands items from producers to consumers in order; producers wait while it is full. Several consumers share the items:
 * each takes the next one. A consumer that leaves its loop does not close the queue for the others.
 * An item larger than `bytes` is admitted when the queue is empty, because otherwise it would wait forever.
 */
export class BoundedQueue<T> implements AsyncIterable<T> {
  readonly #limit: { items: number; bytes: number };
  readonly #sizeOf: (item: T) => number;
  readonly #items = new LinkedQueue<{ item: T; size: number }>();
  readonly #producers = new LinkedQueue<Producer<T>>();
  readonly #consumers = new LinkedQueue<Consumer<T>>();
  #bytes = 0;
  #closed: { error?: unknown } | undefined;

  constructor({ items, bytes = Infinity, sizeOf = () => 0 }: BoundedQueueOptions<T>) {
    this.#limit = {
      items: checkedNumber(items, { name: 'items', least: 1 }),
      bytes: checkedNumber(bytes, { name: 'bytes', least: 1 }),
    };
    this.#sizeOf = sizeOf;
  }

  /** Items in the queue now. */
  get size(): number {
    return this.#items.length;
  }

  /** Bytes of the items in the queue now. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Resolves when the item is in the queue. Rejects when the queue is closed first, or with the signal's reason. */
  async push(item: T, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#closed) throw refusal(this.#closed);
    const size = this.#sizeOf(item);
    if (this.#producers.length === 0 && this.#hasRoomFor(size)) return this.#admit(item, size);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Remove the listener here, not in the promise's reactions: an abort may come before those run.
    const settled = (): void => signal?.removeEventListener('abort', leave);
    const admit = (): void => (settled(), resolve());
    const refuse = (error: unknown): void => (settled(), reject(error as Error));
    const node = this.#producers.push({ item, size, admit, refuse });
    const leave = (): void => {
      this.#producers.remove(node);
      reject(signal?.reason as Error);
      // Smaller items behind this one may fit now. In a microtask, because the same abort may remove them too.
      queueMicrotask(() => this.#refill());
    };
    signal?.addEventListener('abort', leave, { once: true });
    return promise;
  }

  /**
   * Closes the queue and rejects waiting producers. Without an error, consumers still get the remaining items and then
   * end; with an error they get it at once and the remaining items are dropped. Only the first call has an effect.
   */
  close(error?: unknown): void {
    if (this.#closed) return;
    this.#closed = error === undefined ? {} : { error };
    for (let producer = this.#producers.shift(); producer; producer = this.#producers.shift()) {
      producer.refuse(refusal(this.#closed));
    }
    if (error !== undefined) {
      while (this.#items.shift());
      this.#bytes = 0;
    }
    for (let consumer = this.#consumers.shift(); consumer; consumer = this.#consumers.shift()) {
      if (error === undefined) consumer.give({ done: true, value: undefined });
      else consumer.fail(error);
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    // oxlint-disable-next-line no-await-in-loop -- items are handed out one at a time and in order
    for (let next = await this.#take(); !next.done; next = await this.#take()) yield next.value;
  }

  async #take(): Promise<IteratorResult<T, undefined>> {
    const first = this.#items.shift();
    if (first) {
      this.#bytes -= first.size;
      this.#refill();
      return { done: false, value: first.item };
    }
    if (this.#closed && 'error' in this.#closed) throw this.#closed.error;
    if (this.#closed) return { done: true, value: undefined };
    const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<T, undefined>>();
    this.#consumers.push({ give: resolve, fail: reject });
    return promise;
  }

  #hasRoomFor(size: number): boolean {
    if (this.#items.length === 0) return true;
    return this.#items.length < this.#limit.items && this.#bytes + size <= this.#limit.bytes;
  }

  #admit(item: T, size: number): void {
    const consumer = this.#consumers.shift();
    if (consumer) return consumer.give({ done: false, value: item });
    this.#items.push({ item, size });
    this.#bytes += size;
  }

  #refill(): void {
    for (let next = this.#producers.first; next && this.#hasRoomFor(next.value.size); next = this.#producers.first) {
      this.#producers.remove(next);
      this.#admit(next.value.item, next.value.size);
      next.value.admit();
    }
  }
}

function refusal(closed: { error?: unknown }): Error {
  return 'error' in closed && closed.error instanceof Error ? closed.error : new QueueClosedError();
}
