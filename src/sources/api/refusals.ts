/** Different requests that must be refused in a row before the credentials themselves count as refused. */
const inARow = 5;
/** The same among those that have failed before. */
const inARowAgain = 20;

/**
 * Tells credentials that are refused as such from a record that they may not see: the first before any answer was
 * good, or when several different requests in a row are refused. Only then is asking on pointless, and may lock the
 * account; a single 401 between good answers is its own request's failure.
 */
export class Refusals {
  #everAccepted = false;
  readonly #urls = new Set<string>();

  /** An answer carried data. */
  accepted(): void {
    this.#everAccepted = true;
    if (this.#urls.size > 0) this.#urls.clear();
  }

  /**
   * A request was refused for good. True when the credentials are refused as such. One that has failed before may be the
   * only one left to ask, so that it comes first is no evidence.
   */
  refused(url: string, { failedBefore }: { failedBefore: boolean }): boolean {
    this.#urls.add(url);
    return (!this.#everAccepted && !failedBefore) || this.#urls.size >= (failedBefore ? inARowAgain : inARow);
  }
}
