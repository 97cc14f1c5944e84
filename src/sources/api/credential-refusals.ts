/** This many different requests must be refused in a row before the credentials count as refused. */
const inARow = 5;
/** The same for requests that failed in an earlier round. */
const inARowAgain = 20;

/**
 * Decides whether a 401 is about the credentials or about a single record: about the credentials before the first good
 * answer, or when several different requests in a row are refused. Only then must the run stop, because further requests
 * may lock the account; a single 401 between good answers is the failure of its request.
 */
export class CredentialRefusals {
  #everAccepted = false;
  readonly #urls = new Set<string>();

  /** Records an answer with data. */
  accepted(): void {
    this.#everAccepted = true;
    if (this.#urls.size > 0) this.#urls.clear();
  }

  /**
   * Records a final refusal. True when the credentials themselves are refused. The first request is not evidence when it
   * failed in an earlier round, because it may be the only one left.
   */
  refused(url: string, { failedBefore }: { failedBefore: boolean }): boolean {
    this.#urls.add(url);
    return (!this.#everAccepted && !failedBefore) || this.#urls.size >= (failedBefore ? inARowAgain : inARow);
  }
}
