import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { ContractListing, Pagination } from '../../../src/sources/api/api-options.ts';
import { parseJsonPath, type JsonPath } from '../../../src/sources/json/json-path.ts';
import { listPages, type ListPagesOptions } from '../../../src/sources/listing/paginate.ts';
import { parseTemplate } from '../../../src/sources/json/template.ts';
import { startApi } from '../../support/api-fixture.ts';
import type { Script, ScriptedAnswer } from '../../support/scripted-server.ts';

const path = (text: string): JsonPath => parseJsonPath(text)!;

function listing(paginate: Pagination, rest: Partial<ContractListing> = {}): ContractListing {
  return {
    api: 'crm',
    path: parseTemplate('/contracts'),
    query: {},
    records: path('data'),
    key: path('id'),
    paginate,
    ...rest,
  };
}

/** All pages the script serves: ids and totals as listed, and what was asked. */
async function list(script: Script, contracts: ContractListing, options: Partial<ListPagesOptions> = {}) {
  await using crm = await startApi(script);
  const ids: unknown[] = [];
  const totals: (string | undefined)[] = [];
  let error: unknown;
  try {
    for await (const page of listPages(crm.api, contracts, { resolve: () => undefined, ...options })) {
      ids.push(...page.records.map((record) => (record as { id: unknown }).id));
      totals.push(page.total);
    }
  } catch (caught) {
    error = caught;
  }
  return {
    ids,
    totals,
    log: crm.server.log,
    error: error as (Error & { code: string; class: string }) | undefined,
    origin: crm.server.origin,
  };
}

const data = (...ids: number[]) => ids.map((id) => ({ id }));
const param = (url: string, name: string) => new URL(url, 'http://x').searchParams.get(name);

test('a listing without pages is asked once, its braces filled in', async () => {
  const contracts = listing(
    { type: 'none' },
    {
      path: parseTemplate('/{businessMonth}/contracts'),
      query: { status: parseTemplate('a&b'), day: parseTemplate('{businessDate}') },
    },
  );
  const resolve = ([name]: JsonPath) => (name === 'businessMonth' ? '2026/01' : '2026-01-31');
  const { ids, log } = await list(() => ({ json: { data: data(1, 2) } }), contracts, { resolve });
  assert.deepEqual(ids, [1, 2]);
  assert.deepEqual(log, ['GET /2026%2F01/contracts?status=a%26b&day=2026-01-31']);
});

test('literal braces reach the server, encoded in the path and in the query', async () => {
  const contracts = listing(
    { type: 'none' },
    { path: parseTemplate('/a({{x}})'), query: { where: parseTemplate('{{"day":"{businessDate}"}}') } },
  );
  const { log } = await list(() => ({ json: { data: [] } }), contracts, { resolve: () => '2026-01-31' });
  const [, url = ''] = log[0]!.split(' ');
  assert.match(url, /^\/a\(%7Bx%7D\)\?/);
  assert.equal(param(url, 'where'), '{"day":"2026-01-31"}');
});

test('a cursor is followed with all its digits until it is null, absent or empty', async () => {
  for (const end of ['null', '""', undefined]) {
    const { ids, log, totals } = await list(
      ({ url }) => {
        const after = param(url, 'after');
        const next = after === null ? '12345678901234567890' : after === '12345678901234567890' ? '"a+b&c=="' : end;
        const paging = next === undefined ? '' : `,"paging":{"next":{"after":${next}}}`;
        return {
          body: `{"data":[{"id":"${after}"}],"meta":{"total":3.0e0}${paging}}`.replace('3.0e0', '3'),
          headers: { 'content-type': 'application/json' },
        };
      },
      listing(
        { type: 'cursor', next: path('paging.next.after'), param: 'after' },
        {
          query: { status: parseTemplate('active') },
          total: { path: path('meta.total') },
        },
      ),
    );
    assert.deepEqual(ids, ['null', '12345678901234567890', 'a+b&c==']);
    assert.deepEqual(totals, ['3', '3', '3']);
    assert.equal(log.length, 3);
    assert.ok(log.every((line) => line.includes('status=active')));
  }
});

test('a cursor that repeats is an error, also in a loop of several pages', async () => {
  const circle: Record<string, string> = { '': 'a', a: 'b', b: 'c', c: 'a' };
  const { ids, error } = await list(
    ({ url }) => ({ json: { data: data(Math.random()), next: circle[param(url, 'after') ?? ''] } }),
    listing({ type: 'cursor', next: path('next'), param: 'after' }),
  );
  assert.equal(error?.code, 'PAGINATION_LOOP');
  assert.equal(ids.length, 4);
});

test('an offset ends at a short page', async () => {
  const all = [1, 2, 3, 4, 5];
  const { ids, log } = await list(
    ({ url }) => {
      const offset = Number(param(url, 'skip'));
      return { json: { data: data(...all.slice(offset, offset + 2)) } };
    },
    listing({ type: 'offset', param: 'skip', limitParam: 'take', limit: 2 }),
  );
  assert.deepEqual(ids, all);
  assert.deepEqual(
    log,
    ['skip=0&take=2', 'skip=2&take=2', 'skip=4&take=2'].map((query) => `GET /contracts?${query}`),
  );
});

test('an offset ends at an empty page, or where the total says, and a server that serves less than asked is followed', async () => {
  const all = [1, 2, 3, 4];
  const serve =
    (atMost: number): Script =>
    ({ url }) => {
      const offset = Number(param(url, 'offset'));
      return { json: { data: data(...all.slice(offset, offset + atMost)), total: 4 } };
    };
  const plain = await list(serve(2), listing({ type: 'offset', param: 'offset', limit: 2 }));
  assert.deepEqual([plain.ids, plain.log.length], [all, 3]);
  const counted = await list(
    serve(2),
    listing({ type: 'offset', param: 'offset', limit: 2 }, { total: { path: path('total') } }),
  );
  assert.deepEqual([counted.ids, counted.log.length], [all, 2]);
  const stingy = await list(
    serve(1),
    listing({ type: 'offset', param: 'offset', limit: 2 }, { total: { path: path('total') } }),
  );
  assert.deepEqual([stingy.ids, stingy.log.length], [all, 4]);
});

test('pages are counted from the first until one is empty or the total from a header is reached', async () => {
  const serve: Script = ({ url }) => {
    const page = Number(param(url, 'page'));
    return { json: data(...(page <= 2 ? [page * 10, page * 10 + 1] : [])), headers: { 'X-Total-Count': '4' } };
  };
  const { records: _, ...bare } = listing({ type: 'page', param: 'page', first: 1 });
  const plain = await list(serve, bare);
  assert.deepEqual(plain.ids, [10, 11, 20, 21]);
  assert.deepEqual(plain.log, ['GET /contracts?page=1', 'GET /contracts?page=2', 'GET /contracts?page=3']);
  const counted = await list(serve, { ...bare, total: { header: 'X-Total-Count' } });
  assert.deepEqual([counted.ids, counted.totals, counted.log.length], [[10, 11, 20, 21], ['4', '4'], 2]);
});

/** Pages of these lengths, `answer` instead of one in the middle, and `past` for all beyond them. */
function pagesOf(
  lengths: number[],
  { past, instead = {}, total }: { past: ScriptedAnswer; instead?: Record<number, ScriptedAnswer>; total?: number },
): Script {
  return ({ url }) => {
    const page = Number(param(url, 'page'));
    const length = lengths[page - 1];
    if (length === undefined) return past;
    const ids = Array.from({ length }, (_, index) => page * 10_000 + index);
    return instead[page] ?? { json: { data: data(...ids), ...(total === undefined ? {} : { total }) } };
  };
}

const numbered = (rest: Partial<ContractListing> = {}) => listing({ type: 'page', param: 'page', first: 1 }, rest);
const djangoEnd = { status: 404, json: { detail: 'Invalid page.' } };
const wordPressEnd = { status: 400, json: { code: 'rest_post_invalid_page_number' } };
const nothingThere = { status: 204, body: '' };

test('a page number past the end ends the listing, however the API refuses it', async () => {
  for (const past of [djangoEnd, wordPressEnd, nothingThere])
    for (const lengths of [[2, 2, 1], [3], [2, 2, 2], ...(past === nothingThere ? [[2, 1, 2], [1_000]] : [])]) {
      const { ids, error, log } = await list(pagesOf(lengths, { past }), numbered());
      assert.equal(error, undefined);
      assert.equal(
        ids.length,
        lengths.reduce((sum, length) => sum + length),
      );
      // The page behind the refused one as well: a fault of one page must not look like the end.
      assert.equal(log.length, lengths.length + 2);
    }
  const twoPages: Script = ({ url }) => {
    const skip = Number(param(url, 'skip'));
    return skip < 4 ? { json: { data: data(skip, skip + 1) } } : wordPressEnd;
  };
  const { ids, error, log } = await list(twoPages, listing({ type: 'offset', param: 'skip', limit: 2 }));
  assert.deepEqual([ids.length, error, log.at(-1)], [4, undefined, 'GET /contracts?skip=6']);
});

for (const [what, script, { contracts = numbered(), says }] of [
  ['the first page', pagesOf([], { past: djangoEnd }), { says: /asking again does not create it$/ }],
  [
    'a page before the total is reached',
    pagesOf([2, 1], { past: djangoEnd, total: 5 }),
    {
      contracts: numbered({ total: { path: path('total') } }),
      says: /total is 5, but only 3 records came before this page$/,
    },
  ],
  [
    'a page whose next one has records',
    pagesOf([2, 2, 2, 2], { past: djangoEnd, instead: { 3: djangoEnd } }),
    { says: /; the page after it has records$/ },
  ],
  [
    'a page after short and long ones',
    pagesOf([2, 1, 2], { past: djangoEnd }),
    { says: /differ in length, so this may not be the end; set contracts\.total/ },
  ],
  [
    'a page after a thousand records on full pages',
    pagesOf([500, 500], { past: wordPressEnd }),
    {
      says: /after 2 full pages with 1000 records this may be the end or a limit of the API; set contracts\.total/,
    },
  ],
  [
    'a page after ten full ones',
    pagesOf(Array<number>(10).fill(3), { past: wordPressEnd }),
    { says: /after 10 full pages with 30 records/ },
  ],
  [
    'a page with another status',
    pagesOf([2, 1], { past: { status: 422, json: { message: 'Only the first 1000 results' } } }),
    { says: /answered 422/ },
  ],
  [
    'a page that is refused for its rights',
    pagesOf([2, 1], { past: { status: 403, json: {} } }),
    { says: /answered 403/ },
  ],
  [
    'a page that the API names itself',
    ({ url }) => (url === '/contracts' ? { json: { data: data(1), next: 'b' } } : djangoEnd),
    { contracts: listing({ type: 'cursor', next: path('next'), param: 'after' }), says: /answered 404/ },
  ],
] satisfies [string, Script, { contracts?: ContractListing; says: RegExp }][]) {
  test(`a refusal of ${what} is an error, because the listing may not be whole`, async () => {
    const { error } = await list(script, contracts);
    assert.match(error?.code ?? '', /^HTTP_4/);
    assert.match(error?.message ?? '', says);
  });
}

test('a refusal that a rule calls rate-limited is not the end of the listing, and is waited for until the deadline', async () => {
  await using crm = await startApi(pagesOf([2, 1], { past: wordPressEnd }), {
    responses: [{ status: 400, contains: 'rest_post', action: 'rate-limited' }],
  });
  const pages = listPages(crm.api, numbered(), { resolve: () => undefined, deadline: performance.now() + 400 });
  await assert.rejects(Array.fromAsync(pages), { code: 'API_RESTS' });
  assert.ok(crm.server.requests.length > 2 + 3, 'for longer than its retries last');
});

test('a server that ignores the page number is an error, not a loop', async () => {
  for (const paginate of [
    { type: 'page', param: 'page', first: 0 },
    { type: 'offset', param: 'offset', limit: 2 },
  ] as const) {
    const { ids, error } = await list(() => ({ json: { data: data(1, 2) } }), listing(paginate));
    assert.equal(error?.code, 'PAGINATION_LOOP');
    assert.deepEqual(ids, [1, 2]);
  }
});

test('a link header is followed, relative or absolute, among others and around quoted commas', async () => {
  let page = 0;
  const { ids, log, error } = await list(
    ({ url, headers }) => {
      const links: Record<string, string | string[]> = {
        '/contracts': `</first>; rel=first; title="a, <b>; rel=next", </other>; rel=last; rel=next, </contracts?p=2>; title="x"; rel="prev NEXT"`,
        '/contracts?p=2': ['<?p=1>; rel="prev"', `<http://${headers.host}/contracts?p=3>; rel=next`],
        '/contracts?p=3': '</contracts?p=1>; rel="first"',
      };
      return { json: { data: data((page += 1)) }, headers: { link: links[url] ?? '' } };
    },
    listing({ type: 'link-header' }),
  );
  assert.equal(error, undefined);
  assert.deepEqual(log, ['GET /contracts', 'GET /contracts?p=2', 'GET /contracts?p=3']);
  assert.deepEqual(ids, [1, 2, 3]);
});

test('a next address is followed until it is null', async () => {
  const next: Record<string, string | null> = { '/contracts': 'contracts/more?p=2', '/contracts/more?p=2': null };
  const { log } = await list(
    ({ url }) => ({ json: { data: data(url.length), next: next[url] } }),
    listing({ type: 'next-url', next: path('next') }),
  );
  assert.deepEqual(log, ['GET /contracts', 'GET /contracts/more?p=2']);
});

test('a next page on another origin is an error, and no request goes there', async () => {
  await using other = await startApi(() => ({ json: { data: [] } }));
  const port = new URL(other.server.origin).port;
  const foreign = [
    `${other.server.origin}/contracts?key=geheim`,
    `//127.0.0.1:${port}/contracts`,
    '\\\\127.0.0.1:' + port,
    'https://HOST/contracts',
    'http://user@HOST/contracts',
    'http://:geheim@HOST/contracts',
    'http://HOST.evil.example/contracts',
    `http://localhost:${port}/contracts`,
    'file:///etc/passwd',
    'http://[',
  ];
  for (const link of foreign) {
    const { ids, error, log } = await list(
      ({ headers }) => ({ json: { data: data(1), next: link.replace('HOST', String(headers.host)) } }),
      listing({ type: 'next-url', next: path('next') }),
    );
    assert.equal(error?.code, 'NEXT_PAGE_FOREIGN_ORIGIN', link);
    assert.equal(error?.class, 'config');
    assert.doesNotMatch(error?.message ?? '', /geheim/);
    assert.deepEqual([ids, log], [[1], ['GET /contracts']]);
  }
  assert.deepEqual(other.server.requests, []);
});

test('a next address that leads back is an error', async () => {
  const { error, log } = await list(
    ({ url }) => ({ json: { data: data(url.length), next: url === '/contracts' ? '/contracts?p=2' : '/contracts' } }),
    listing({ type: 'next-url', next: path('next') }),
  );
  assert.equal(error?.code, 'PAGINATION_LOOP');
  assert.equal(log.length, 2);
});

test('an endless listing is stopped at the page limit', async () => {
  let n = 0;
  const { error, log } = await list(
    () => ({ json: { data: data((n += 1)), next: n } }),
    listing({ type: 'cursor', next: path('next'), param: 'c' }),
    { maxPages: 3 },
  );
  assert.equal(error?.code, 'PAGE_LIMIT');
  assert.equal(log.length, 3);
});

for (const [name, answer, expected] of [
  [
    'records somewhere else',
    { results: [], paging: {} },
    /at data, but has nothing in an object with the keys results, paging/,
  ],
  ['records that are an object', { data: { a: 1 } }, /at data, but has an object with the keys a;/],
  ['records that are null', { data: null }, /at data, but has null;/],
  ['a total that is no count', { data: [], total: 'many' }, /total, but has a string;/],
  ['a total that is no whole number', { data: [], total: 1.5 }, /total, but has a number;/],
  ['a next page that is no name', { data: [], next: {} }, /at next, but has an empty object;/],
] as const) {
  test(`${name} are named as what they are`, async () => {
    const { error } = await list(
      () => ({ json: answer }),
      listing({ type: 'cursor', next: path('next'), param: 'c' }, { total: { path: path('total') } }),
    );
    assert.equal(error?.code, 'LISTING_SHAPE');
    assert.match(error?.message ?? '', expected);
  });
}

test('a listing that fails keeps the failure of its request, and pages are asked for only when wanted', async () => {
  const { error } = await list(() => ({ status: 404, body: '' }), listing({ type: 'none' }));
  assert.equal(error?.code, 'HTTP_404');
  let n = 0;
  await using crm = await startApi(() => ({ json: { data: data((n += 1)), next: n } }));
  for await (const page of listPages(crm.api, listing({ type: 'cursor', next: path('next'), param: 'c' }), {
    resolve: () => undefined,
  })) {
    assert.equal(page.records.length, 1);
    break;
  }
  assert.equal(n, 1);
});

test('a page of very many records is parsed in steps, so that other work can run', async (t) => {
  const record =
    '{"id":"CT-@","amount":12.50,"updatedAt":"2026-01-05T02:30:45.120Z","name":"Müller & Söhne, 50 €, 😀"}';
  const records = Array.from({ length: 10_000 }, (_, id) => record.replace('@', String(id)));
  const body = gzipSync(`{"meta":{"count":10000},"data":[${records.join()}],"facets":[${records.join()}]}`);
  const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
  const parse = t.mock.method(JSON, 'parse');
  await using crm = await startApi(() => ({ headers, body }), { maxResponseBytes: 32e6 });
  const pages = await Array.fromAsync(
    listPages(crm.api, listing({ type: 'none' }), { resolve: () => undefined }),
    ({ records: listed }) => listed.map((one) => JSON.stringify(one)),
  );
  assert.deepEqual(pages, [records]);
  const lengths = parse.mock.calls.map((call) => String(call.arguments[0]).length);
  // 100,000 characters take a few milliseconds.
  assert.ok(
    lengths.length > 20 && Math.max(...lengths) < 100_000,
    `${lengths.length} steps, ${Math.max(...lengths)} at most`,
  );
});
