import type { Pagination } from '../api/api-options.ts';
import { RequestError } from '../api/request-error.ts';

/** Statuses with which servers answer a page past the end: Zoho, WordPress and Django, in this order. */
const pastEnd: readonly (number | undefined)[] = [204, 400, 404];

/** Whether a refused page may mean the end of the listing: only where we counted the page, because the API did not name it. */
export function mayBePastEnd(error: unknown, { type }: Pagination): error is RequestError {
  return (
    (type === 'page' || type === 'offset') &&
    error instanceof RequestError &&
    !error.retryable &&
    pastEnd.includes(error.httpStatus)
  );
}

/** The pages before a refused one: lengths, records, total. */
export class PagesSoFar {
  pages = 0;
  records = 0;
  #first = 0;
  #last = 0;
  /** All pages but the last are as long as the first one; the last is not longer. */
  #regular = true;
  #total: string | undefined;

  add(records: number, total: string | undefined): void {
    if (this.pages === 0) this.#first = records;
    else this.#regular &&= this.#last === this.#first && records <= this.#first;
    this.#last = records;
    this.pages += 1;
    this.records += records;
    this.#total = total ?? this.#total;
  }

  /**
   * Why the listing may continue after the refused page; undefined when that page is the end. Doubt is an error, because a
   * listing cut off by the API or a fault must not look complete. The source's own total removes the doubt.
   */
  doubtAboutEnd(status: number | undefined): string | undefined {
    if (this.#total !== undefined) {
      if (BigInt(this.records) >= BigInt(this.#total)) return undefined;
      return `the listing's total is ${this.#total}, but only ${this.records} records came before this page`;
    }
    // Equivalent to an empty page.
    if (status === 204) return undefined;
    if (!this.#regular) return `the pages before it differ in length, so this may not be the end; ${remedy}`;
    if (this.#last < this.#first) return undefined;
    // All pages are equally long: either the end, or a limit of the API. Such limits are round numbers.
    const isRound = this.records % 1_000 === 0 || this.pages % 10 === 0;
    if (!isRound) return undefined;
    return `after ${this.pages} full pages with ${this.records} records this may be the end or a limit of the API; ${remedy}`;
  }
}

const remedy =
  "set contracts.total to the API's own count, or use a pagination in which the API names the next page (cursor, next-url, link-header)";
