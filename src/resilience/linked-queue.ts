export interface QueueNode<T> {
  readonly value: T;
  previous: QueueNode<T> | undefined;
  next: QueueNode<T> | undefined;
}

/**
 * A first-in, first-out queue with removal from the middle, each in constant time.
 * Not an array, because it shifts in linear time; not a Set, because iteration skips over each deleted entry at its front.
 */
export class LinkedQueue<T> {
  #first: QueueNode<T> | undefined;
  #last: QueueNode<T> | undefined;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  get first(): QueueNode<T> | undefined {
    return this.#first;
  }

  push(value: T): QueueNode<T> {
    const node: QueueNode<T> = { value, previous: this.#last, next: undefined };
    if (this.#last) this.#last.next = node;
    else this.#first = node;
    this.#last = node;
    this.#length += 1;
    return node;
  }

  /** Adds the value at the front. */
  unshift(value: T): QueueNode<T> {
    const node: QueueNode<T> = { value, previous: undefined, next: this.#first };
    if (this.#first) this.#first.previous = node;
    else this.#last = node;
    this.#first = node;
    this.#length += 1;
    return node;
  }

  /** The node must be in this queue. */
  remove(node: QueueNode<T>): void {
    if (node.previous) node.previous.next = node.next;
    else this.#first = node.next;
    if (node.next) node.next.previous = node.previous;
    else this.#last = node.previous;
    this.#length -= 1;
  }

  shift(): T | undefined {
    const node = this.#first;
    if (node) this.remove(node);
    return node?.value;
  }
}
