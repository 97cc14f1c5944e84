/** Different requests that must be asked to wait, and none answered meanwhile, before that is the API's word to all. */
const byTwo = 2;

/**
 * Tells an API that asks everybody for rest (503 with `Retry-After`) from a record whose own server does. One answer alone
 * may be the record's; a second one, while nothing that was sent since then is answered well, is the API's.
 */
export class AskedRests {
  readonly #names = new Set<string>();
  /** Monotonic: when the first of them came. */
  #since = Infinity;
  #until = -Infinity;

  /** A request was asked to wait until then (monotonic). Gives until when everybody is, when it is everybody. */
  asked(name: string, { now, until }: { now: number; until: number }): number | undefined {
    if (this.#names.size === 0) this.#since = now;
    this.#names.add(name);
    this.#until = Math.max(this.#until, until);
    return this.#names.size >= byTwo ? this.#until : undefined;
  }

  /** Something that was sent at that time was answered well. */
  answered(sentAt: number): void {
    if (sentAt <= this.#since) return;
    this.#names.clear();
    this.#since = Infinity;
    this.#until = -Infinity;
  }

  /** Whether this request was asked to wait, and nobody knows yet whether everybody is. */
  isOpen(name: string): boolean {
    return this.#names.has(name);
  }
}
