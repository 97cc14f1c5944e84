import { NightfillError } from '../../resilience/failure.ts';
import type { Api, ApiAnswer } from '../api/api.ts';
import type { ContractListing, Pagination } from '../api/api-options.ts';
import { isExactNumber, type Json, scalarText } from '../json/exact-json.ts';
import { formatJsonPath, getPath, type JsonPath } from '../json/json-path.ts';
import { linkTarget } from './link-header.ts';
import { mayBePastEnd, PagesSoFar } from './listing-end.ts';
import { isOwnOrigin, originOf } from '../http/origin.ts';
import { renderTemplate, type Resolve } from '../json/template.ts';

export interface ListingPage {
  records: readonly Json[];
  /** The source's own count where the answer holds it; digits. */
  total?: string;
}

export interface ListPagesOptions {
  resolve: Resolve;
  signal?: AbortSignal;
  /** Monotonic milliseconds. */
  deadline?: number;
  /** More pages than this are taken for a listing without an end. */
  maxPages?: number;
}

/** Some APIs filter after paging and send empty pages before the end, but not this many in a row. */
const mostEmptyPages = 1_000;

/**
 * The listing's pages in order, each asked for only when the one before was taken.
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
      key: 'listing',
      // One record must not keep all others from being listed.
      anyDepth: true,
      patient: true,
      ...(signal ? { signal } : {}),
      ...(deadline === undefined ? {} : { deadline }),
    });
  /** A fault of one page in the middle shows in the page after it, which has records. */
  const doubtAfter = async (refused: string): Promise<string | undefined> => {
    try {
      const answer = await ask(pageAfter(refused, listing.paginate));
      return recordsOf(api, listing, answer).length === 0 ? undefined : 'and the page after it has records';
    } catch (error) {
      if (mayBePastEnd(error, listing.paginate)) return undefined;
      throw error;
    }
  };
  // Every page's address, for a circle may be longer than one page: some megabytes at most, bounded by maxPages.
  const seen = new Set<string>();
  const soFar = new PagesSoFar();
  let before = '';
  let emptyPages = 0;
  let next: string | undefined = firstUrl(api, listing, resolve);
  for (let pages = 1; next !== undefined; pages += 1) {
    if (pages > maxPages) throw shapeless('PAGE_LIMIT', api, `did not end within ${maxPages} pages`);
    if (seen.has(next))
      throw shapeless('PAGINATION_LOOP', api, `leads from page ${pages - 1} back to one already read`);
    seen.add(next);
    let answer: ApiAnswer;
    try {
      answer = await ask(next);
    } catch (error) {
      if (pages === 1 || !mayBePastEnd(error, listing.paginate)) throw error;
      const doubt = soFar.doubtAboutEnd(error.httpStatus) ?? (await doubtAfter(next));
      if (doubt === undefined) return;
      throw error.withNote(`; ${doubt}`);
    }
    const records = recordsOf(api, listing, answer);
    // Addresses may differ for ever; a server that does not go on shows in the records.
    const keys = keysOf(records, listing) ?? `page ${pages}`;
    if (records.length > 0 && keys === before) {
      throw shapeless('PAGINATION_LOOP', api, `gave the same records on page ${pages - 1} and page ${pages}`);
    }
    before = keys;
    emptyPages = records.length === 0 ? emptyPages + 1 : 0;
    if (emptyPages > mostEmptyPages) {
      throw shapeless('PAGINATION_LOOP', api, `gave ${emptyPages} empty pages in a row, each with a next one`);
    }
    const total = totalOf(api, listing, answer);
    soFar.add(records.length, total);
    yield { records, ...(total === undefined ? {} : { total }) };
    const { records: listed } = soFar;
    next = nextUrl({ api, paginate: listing.paginate, answer, asked: next, got: records.length, listed, total });
  }
}

/** What tells one page from another; undefined when records are nested too deeply to say. */
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
  /** The URL of the page just read. */
  asked: string;
  /** Records on it, and on all so far. */
  got: number;
  listed: number;
  total: string | undefined;
}

/** The next page's URL; undefined at the end. */
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
      // A server may serve less than asked for; only where it counts itself can that be told from the end.
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

/** The address of the page behind `url`, which is counted. */
function pageAfter(url: string, paginate: Pagination): string {
  if (paginate.type !== 'page' && paginate.type !== 'offset') return url;
  const number = Number(new URL(url).searchParams.get(paginate.param));
  return withQuery(url, { [paginate.param]: String(number + (paginate.type === 'page' ? 1 : paginate.limit)) });
}

/** A cursor or link as text; absent, null and "" end the listing. */
function nextValue(api: Api, answer: ApiAnswer, path: JsonPath): string | undefined {
  const value = getPath(answer.body, path);
  if (value === undefined || value === null || value === '') return undefined;
  const text = scalarText(value);
  if (text !== undefined) return text;
  throw shapeless(
    'LISTING_SHAPE',
    api,
    `has ${kindOf(value)} at ${formatJsonPath(path)}, where the next page should be named`,
  );
}

/** The link read against the page it stood on. Another origin must not get this one's credentials. */
function ownPage(api: Api, link: string, base: string): string {
  const url = URL.canParse(link, base) ? new URL(link, base) : undefined;
  if (url && isOwnOrigin(url, api.origin)) return url.href;
  throw shapeless(
    'NEXT_PAGE_FOREIGN_ORIGIN',
    api,
    `names a next page at ${originOf(link, base)}, and only ${api.origin} without a user name is asked`,
  );
}

function recordsOf(api: Api, listing: ContractListing, answer: ApiAnswer): readonly Json[] {
  const found = listing.records ? getPath(answer.body, listing.records) : answer.body;
  if (isArray(found)) return found;
  const where = listing.records ? `at ${formatJsonPath(listing.records)}` : 'as the whole answer';
  const instead = listing.records && found === undefined ? ` in ${kindOf(answer.body)}` : '';
  throw shapeless(
    'LISTING_SHAPE',
    api,
    `has ${kindOf(found)} ${where}${instead}, where an array of records should be; check "records"`,
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
  // Of more digits than a float surely keeps it counts nothing, and could not be shown.
  if (digits !== undefined && /^0*\d{1,15}$/.test(digits)) return digits;
  throw shapeless(
    'LISTING_SHAPE',
    api,
    `has ${kindOf(value)} as its total, where a whole number should be; check "total"`,
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

/** What a stranger would call the value. */
function kindOf(value: Json | undefined): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (isArray(value)) return 'an array';
  if (typeof value === 'string') return 'a text';
  if (isExactNumber(value)) return 'a number';
  if (typeof value === 'boolean') return String(value);
  const keys = Object.keys(value);
  return keys.length === 0
    ? 'an empty object'
    : `an object with the keys ${keys.slice(0, 8).join(', ')}${keys.length > 8 ? ', …' : ''}`;
}

function shapeless(code: string, api: Api, fault: string): NightfillError {
  return new NightfillError({ code, class: 'config', message: `the listing of API "${api.name}" ${fault}` });
}
