/** Numbers for the chunks of a plan, given by the one run that holds the job's lease. */
export class ChunkNumbers {
  #last = 0;
  readonly #cut: number[] = [];

  /** Continues after the highest number stored so far. */
  startAfter(last: number): void {
    this.#last = last;
  }

  next(): number {
    this.#last += 1;
    return this.#last;
  }

  /** For a chunk that is cut from another. */
  nextCut(): number {
    const number = this.next();
    this.#cut.push(number);
    return number;
  }

  /** Takes back a number that no chunk needed, unless a later one was given meanwhile. */
  giveBack(number: number): void {
    if (this.#last === number) this.#last -= 1;
  }

  /** Numbers of the chunks that this run cut from others. */
  get cut(): readonly number[] {
    return this.#cut;
  }
}
