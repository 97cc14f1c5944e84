import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { listPages } from '../../../src/sources/listing/paginate.ts';
import { parseTemplate } from '../../../src/sources/json/template.ts';
import { startApi } from '../../support/api-fixture.ts';

const isListing = ({ url }: { url: string }): boolean => url.startsWith('/contracts?');

for (const [held, limits] of [
  ['the semaphore', { concurrency: 2, rates: [] }],
  ['the window', { concurrency: 40, rates: [{ requests: 2, per: 20 }] }],
] as const) {
  test(`a listing whose lookups crowd ${held} gets its turn for every page`, async () => {
    await using crm = await startApi(
      async ({ url }) => {
        await delay(1);
        const page = Number(/page=(\d+)/.exec(url)?.[1] ?? 0);
        return { json: { data: page === 0 ? [] : [{ id: page }], next: page === 5 ? null : page + 1 } };
      },
      { limits: { concurrency: limits.concurrency, rates: [...limits.rates] }, connections: 40 },
    );
    const { api, server } = crm;
    const enough = new AbortController();
    const flood = Promise.allSettled(
      Array.from({ length: 600 }, async (_, index) =>
        api.request({ url: `/usage/${index}`, lane: 'usage', signal: enough.signal }),
      ),
    );
    while (server.requests.length < 4) await delay(1);
    const before = server.requests.length;
    const pages = listPages(
      api,
      {
        api: 'crm',
        path: parseTemplate('/contracts'),
        query: { page: parseTemplate('1') },
        records: ['data'],
        key: ['id'],
        paginate: { type: 'cursor', next: ['next'], param: 'page' },
      },
      { resolve: () => undefined },
    );
    for await (const { records } of pages) assert.equal(records.length, 1);
    enough.abort(new Error('enough'));
    await flood;
    const lookups = server.requests.findLastIndex(isListing) - before - 4;
    // Per page: a turn in each of the two lines, and what is under way meanwhile.
    assert.ok(lookups <= 5 * 6, `${lookups} lookups went before the fifth page`);
    assert.equal(api.statistics().inFlight, 0);
  });
}
