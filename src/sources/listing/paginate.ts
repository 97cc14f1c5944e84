import { NightfillError } from '../../resilience/failure.ts';
import type { Api, ApiAnswer } from '../api/api.ts';
import type { ContractListing, Pagination } from '../api/api-options.ts';
import { isExactNumber, type Json, scalarText } from '../json/exact-json.ts';
import { formatJsonPath, getPath, type JsonPath } from '../json/json-path.ts';
import { linkTarget } from './link-header.ts';
import { mayBePastEnd, PagesSoFar } from './listing-end.ts';
import { isOwnOrigin, originOf } from '../http/origin.ts';
import { renderTemplate, type Resolve } from '../json/template.ts';

interface ListingPage {
  records: readonly Json[];
  /** The source's own count, if the answer contains it; digits. */
  total?: string;
}

export interface ListPagesOptions {
  resolve: Resolve;
  signal?: AbortSignal;
  /** Monotonic milliseconds. */
  deadline?: number;
  /** A listing with more pages than this is taken for endless. */
  maxPages?: number;
}

/** APIs that filter after paging send empty pages before the end, but not this many in a row. */
const mostEmptyPages = 1_000;

/**
 * The listing's pages in order, each requested only after the one before was consumed.
 * Throws RequestError, LISTING_SHAPE, PAGINATION_LOOP, PAGE_LIMIT and NEXT_PAGE_FOREIGN_ORIGIN.
 */
export async function* listPages(
  api: Api,
  listing: ContractListing,
  { resolve, signal, deadline, maxPages = 100_000 }: ListPagesOptions,
): AsyncGenerator<ListingPage> {
  const ask = async (url: string): Promise<ApiAnswer> =>
    api.request({
      url,
      lane: 'listing',
      // A deeply nested record must not fail the whole page.
      anyDepth: true,
      patient: true,
      ...(signal ? { signal } : {}),
      ...(deadline === undefined ? {} : { deadline }),
    });
  /** If the page after a refused one has records, the refused page was a fault and not the end. */
  const doubtAfter = async (refused: string): Promise<string | undefined> => {
    try {
      const answer = await ask(pageAfter(refused, listing.paginate));
      return recordsOf(api, listing, answer).length === 0 ? undefined : 'the page after it has records';
    } catch (error) {
      if (mayBePastEnd(error, listing.paginate)) return undefined;
      throw error;
    }
  };
  // All addresses, because a loop may span several pages. maxPages limits this to a few megabytes.
  const seen = new Set<string>();
  const soFar = new PagesSoFar();
  let before = '';
  let emptyPages = 0;
  let next: string | undefined = firstUrl(api, listing, resolve);
  for (let pages = 1; next !== undefined; pages += 1) {
    if (pages > maxPages) throw listingError('PAGE_LIMIT', api, `did not end within ${maxPages} pages`);
    if (seen.has(next))
      throw listingError('PAGINATION_LOOP', api, `leads from page ${pages - 1} back to a page already read`);
    seen.add(next);
    let answer: ApiAnswer;
    try {
      // oxlint-disable-next-line no-await-in-loop -- each page names the next
      answer = await ask(next);
    } catch (error) {
      if (pages === 1 || !mayBePastEnd(error, listing.paginate)) throw error;
      // oxlint-disable-next-line no-await-in-loop -- each page names the next
      const doubt = soFar.doubtAboutEnd(error.httpStatus) ?? (await doubtAfter(next));
      if (doubt === undefined) return;
      throw error.withNote(`; ${doubt}`);
    }
    const records = recordsOf(api, listing, answer);
    // The addresses of an endless listing may all differ, so the records are compared too.
    const keys = keysOf(records, listing) ?? `page ${pages}`;
    if (records.length > 0 && keys === before) {
      throw listingError('PAGINATION_LOOP', api, `gave the same records on page ${pages - 1} and page ${pages}`);
    }
    before = keys;
    emptyPages = records.length === 0 ? emptyPages + 1 : 0;
    if (emptyPages > mostEmptyPages) {
      throw listingError('PAGINATION_LOOP', api, `gave ${emptyPages} empty pages in a row, each with a next one`);
    }
    const total = totalOf(api, listing, answer);
    soFar.add(records.length, total);
    yield { records, ...(total === undefined ? {} : { total }) };
    const { records: listed } = soFar;
    next = nextUrl({ api, paginate: listing.paginate, answer, asked: next, got: records.length, listed, total });
  }
}

/** The page's keys as text, to compare pages; undefined when records are nested too deeply to be serialized. */
function keysOf(records: readonly Json[], { key }: ContractListing): string | undefined {
  try {
    return JSON.stringify(records.map((record) => getPath(record, key) ?? record));
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function firstUrl(api: Api, listing: ContractListing, resolve: Resolve): string {
  const plain = Object.entries(listing.query).map(([name, template]) => [
    name,
    renderTemplate(template, resolve, (text) => text),
  ]);
  const url = api.resolveUrl(renderTemplate(listing.path, resolve), Object.fromEntries(plain));
  const { paginate } = listing;
  if (paginate.type === 'page') return withQuery(url, { [paginate.param]: String(paginate.first) });
  if (paginate.type !== 'offset') return url;
  const limit = paginate.limitParam === undefined ? {} : { [paginate.limitParam]: String(paginate.limit) };
  return withQuery(url, { [paginate.param]: '0', ...limit });
}

interface Position {
  api: Api;
  paginate: Pagination;
  answer: ApiAnswer;
  /** The URL of the current page. */
  asked: string;
  /** Records on this page, and on all pages so far. */
  got: number;
  listed: number;
  total: string | undefined;
}

/** The next page's URL; undefined after the last page. */
function nextUrl(position: Position): string | undefined {
  const { api, paginate, answer, asked, got, listed, total } = position;
  const complete = got === 0 || (total !== undefined && BigInt(listed) >= BigInt(total));
  switch (paginate.type) {
    case 'none':
      return undefined;
    case 'cursor': {
      const cursor = nextValue(api, answer, paginate.next);
      return cursor === undefined ? undefined : withQuery(asked, { [paginate.param]: cursor });
    }
    case 'offset':
      // A page shorter than `limit` is the end, unless the server's total shows that it serves shorter pages.
      if (complete || (total === undefined && got < paginate.limit)) return undefined;
      return withQuery(asked, { [paginate.param]: String(listed) });
    case 'page':
      return complete ? undefined : pageAfter(asked, paginate);
    case 'link-header': {
      const link = linkTarget(answer.headers['link'], 'next');
      return link === undefined ? undefined : ownPage(api, link, answer.url);
    }
    case 'next-url': {
      const link = nextValue(api, answer, paginate.next);
      return link === undefined ? undefined : ownPage(api, link, answer.url);
    }
    default:
      return paginate satisfies never;
  }
}

/** The address of the page after `url`, for paginations that count. */
function pageAfter(url: string, paginate: Pagination): string {
  if (paginate.type !== 'page' && paginate.type !== 'offset') return url;
  const number = Number(new URL(url).searchParams.get(paginate.param));
  return withQuery(url, { [paginate.param]: String(number + (paginate.type === 'page' ? 1 : paginate.limit)) });
}

/** A cursor or link as text; undefined when absent, null or "", which end the listing. */
function nextValue(api: Api, answer: ApiAnswer, path: JsonPath): string | undefined {
  const value = getPath(answer.body, path);
  if (value === undefined || value === null || value === '') return undefined;
  const text = scalarText(value);
  if (text !== undefined) return text;
  throw listingError(
    'LISTING_SHAPE',
    api,
    `should have a string or number that names the next page at ${formatJsonPath(path)}, but has ${kindOf(value)}; check "paginate"`,
  );
}

/** Resolves the link against its page. Rejects another origin, because it must not get this API's credentials. */
function ownPage(api: Api, link: string, base: string): string {
  const url = URL.canParse(link, base) ? new URL(link, base) : undefined;
  if (url && isOwnOrigin(url, api.origin)) return url.href;
  throw listingError(
    'NEXT_PAGE_FOREIGN_ORIGIN',
    api,
    `names a next page at ${originOf(link, base)}, but only addresses of ${api.origin} without a user name are allowed`,
  );
}

function recordsOf(api: Api, listing: ContractListing, answer: ApiAnswer): readonly Json[] {
  const found = listing.records ? getPath(answer.body, listing.records) : answer.body;
  if (isArray(found)) return found;
  const where = listing.records ? `at ${formatJsonPath(listing.records)}` : 'as the whole answer';
  const instead = listing.records && found === undefined ? ` in ${kindOf(answer.body)}` : '';
  throw listingError(
    'LISTING_SHAPE',
    api,
    `should have an array of records ${where}, but has ${kindOf(found)}${instead}; check "records"`,
  );
}

function totalOf(api: Api, { total }: ContractListing, answer: ApiAnswer): string | undefined {
  if (!total) return undefined;
  const value =
    'path' in total
      ? getPath(answer.body, total.path)
      : String(answer.headers[total.header.toLowerCase()] ?? '').trim();
  if (value === undefined || value === null || value === '') return undefined;
  const digits = scalarText(value);
  // No listing has a total of more than 15 digits, which is what a float represents exactly.
  if (digits !== undefined && /^0*\d{1,15}$/.test(digits)) return digits;
  throw listingError(
    'LISTING_SHAPE',
    api,
    `should have a whole number as its total, but has ${kindOf(value)}; check "total"`,
  );
}

function withQuery(url: string, values: Record<string, string>): string {
  const changed = new URL(url);
  for (const [name, value] of Object.entries(values)) changed.searchParams.set(name, value);
  return changed.href;
}

function isArray(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

/** The kind of a JSON value, for messages. */
function kindOf(value: Json | undefined): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (isArray(value)) return 'an array';
  if (typeof value === 'string') return 'a string';
  if (isExactNumber(value)) return 'a number';
  if (typeof value === 'boolean') return String(value);
  const keys = Object.keys(value);
  return keys.length === 0
    ? 'an empty object'
    : `an object with the keys ${keys.slice(0, 8).join(', ')}${keys.length > 8 ? ', …' : ''}`;
}

function listingError(code: string, api: Api, fault: string): NightfillError {
  return new NightfillError({ code, class: 'config', message: `the listing of API "${api.name}" ${fault}` });
}
