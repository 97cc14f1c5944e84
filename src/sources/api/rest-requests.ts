/** This many different requests must be asked to wait, with no good answer in between, before all requests wait. */
const requestsToConfirm = 2;

/**
 * Decides whether a 503 with `Retry-After` is about the whole API or about a single record. One such answer may be about
 * the record; a second one to another request, with no good answer to a request sent in between, is about the API.
 */
export class RestRequests {
  readonly #names = new Set<string>();
  /** Monotonic: when the first of them arrived. */
  #since = Infinity;
  #until = -Infinity;

  /** Records that a request was asked to wait until then (monotonic). Gives until when all have to wait, if all have to. */
  asked(name: string, { now, until }: { now: number; until: number }): number | undefined {
    if (this.#names.size === 0) this.#since = now;
    this.#names.add(name);
    this.#until = Math.max(this.#until, until);
    return this.#names.size >= requestsToConfirm ? this.#until : undefined;
  }

  /** Records a good answer to a request sent at that time. */
  answered(sentAt: number): void {
    if (sentAt <= this.#since) return;
    this.#names.clear();
    this.#since = Infinity;
    this.#until = -Infinity;
  }

  /** Whether this request was asked to wait and it is not decided yet whether all have to. */
  isUndecided(name: string): boolean {
    return this.#names.has(name);
  }
}
