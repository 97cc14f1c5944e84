import type { Pagination } from '../api/api-options.ts';
import { RequestError } from '../api/request-error.ts';

/** Statuses that page numbers and offsets past the end are answered with: by Zoho, WordPress and Django, in this order. */
const pastEnd: readonly (number | undefined)[] = [204, 400, 404];

/** A refused page that may only say that the listing has ended, because its number was counted and not given by the API. */
export function mayBePastEnd(error: unknown, { type }: Pagination): error is RequestError {
  return (
    (type === 'page' || type === 'offset') &&
    error instanceof RequestError &&
    !error.retryable &&
    pastEnd.includes(error.httpStatus)
  );
}

/** What the pages before a refused one tell about the listing. */
export class PagesSoFar {
  pages = 0;
  records = 0;
  #first = 0;
  #last = 0;
  /** All pages but the last are as long as the first one, and the last is not longer. */
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
   * Why the listing may go on behind the refused page; undefined when that page is its end. A listing that an API or a
   * fault cuts off must not look whole, so doubt is an error, and the source's own count the way out of it.
   */
  doubtAboutEnd(status: number | undefined): string | undefined {
    if (this.#total !== undefined) {
      if (BigInt(this.records) >= BigInt(this.#total)) return undefined;
      return `the listing's total is ${this.#total}, and ${this.records} records came before this page`;
    }
    // As definite as an empty page.
    if (status === 204) return undefined;
    if (!this.#regular) return `the pages before it differ in length, so it need not be the end; ${remedy}`;
    if (this.#last < this.#first) return undefined;
    // All pages are equally long: the end by chance, or where the API stops. Limits of APIs are round numbers.
    const isRound = this.records % 1_000 === 0 || this.pages % 10 === 0;
    if (!isRound) return undefined;
    return `after ${this.pages} full pages with ${this.records} records it may be the end or the most that the API lists; ${remedy}`;
  }
}

const remedy =
  'give contracts.total, the number of contracts as the API counts them, or page by what the API names (cursor, next-url, link-header)';
