import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import assert from 'node:assert/strict';
import { assertAllPass, startNight } from '../../support/night.ts';

/** As much of json-server 0.17 as is needed here; it comes without types. */
interface JsonServer {
  create(): RequestListener & { use(handler: unknown): void };
  defaults(options: { logger: boolean }): unknown;
  router(data: object): unknown;
}
const jsonServer = createRequire(import.meta.url)('json-server') as JsonServer;

const contracts = Array.from({ length: 1_000 }, (_, index) => ({
  id: index + 1,
  customerId: `customer ${index % 10}/é`,
  amount: `${index}.50`,
}));
const customers = Array.from({ length: 10 }, (_, index) => ({
  id: `customer ${index}/é`,
  country: ['DE', 'FR'][index % 2],
}));

const job = `
name: rest
apis:
  shop: { type: rest, baseUrl: "\${SHOP}", limits: { concurrency: 10 } }
contracts:
  api: shop
  path: /contracts
  query: { _page: 1, _limit: 100 }
  key: id
  paginate: { type: link-header }
  total: { header: X-Total-Count }
lookups:
  customer: { api: shop, path: "/customers/{listed.customerId}" }
load:
  table: contracts
  key: [id]
  columns:
    id:      { from: listed.id, type: integer }
    amount:  { from: listed.amount, type: "numeric(12,2)" }
    country: { from: customer.country, type: text }
controls:
  - { sum: amount, by: country }
  - { completeness: 100% }
`;

/** Serves the data and keeps the path of every request. */
async function serve(t: TestContext, data: object): Promise<{ origin: string; asked: string[] }> {
  const app = jsonServer.create();
  app.use(jsonServer.defaults({ logger: false }));
  app.use(jsonServer.router(data));
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    app(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

test("json-server's arrays, Link headers and X-Total-Count need a job file alone, and each customer is asked for once", async (t) => {
  const { origin, asked } = await serve(t, { contracts, customers });
  const night = await startNight(t, { environment: { SHOP: origin } });
  await night.write('job.yaml', job);
  const run = await night.nightfill('run', 'job.yaml');
  assert.equal(run.exitCode, 0, run.stdout + run.stderr);

  assert.equal(asked.filter((url) => url.startsWith('/contracts?')).length, 10);
  const customersAsked = asked.filter((url) => url.startsWith('/customers/'));
  assert.equal(customersAsked.length, 10, customersAsked.join('\n'));
  assert.equal(new Set(customersAsked).size, 10);
  assert.equal(asked.length, 20);

  const { counts, amounts, controls } = await night.report();
  assert.deepEqual([counts.sourceTotal, counts.listed, counts.enriched], [1_000, 1_000, 1_000]);
  assert.deepEqual(
    amounts.map(({ currency, listed, loaded }) => [currency, listed, loaded]),
    [
      ['DE', '249750.00', '249750.00'],
      ['FR', '250250.00', '250250.00'],
    ],
  );
  assertAllPass(controls);
  const stored = await night.query(
    `SELECT country, count(*)::integer AS contracts, sum(amount)::text AS amount FROM contracts GROUP BY country ORDER BY country`,
  );
  assert.deepEqual(stored, [
    { country: 'DE', contracts: 500, amount: '249750.00' },
    { country: 'FR', contracts: 500, amount: '250250.00' },
  ]);
});
