/*
 * How long the longest stall of the event loop is when the whole listing comes as one page: a night without lookups, which
 * lists, plans and loads, by the figure of its own report. Amounts end in a zero, so that their digits have to be kept.
 * Run: npx node bench/big-page.ts [contracts]
 * Uses NIGHTFILL_TEST_CLUSTER when set, else a throw-away cluster.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import pg from 'pg';
import type { Report } from '../src/report/schema.ts';
import { startCluster } from '../test/support/cluster.ts';

const [contracts = 100_000] = process.argv.slice(2).map(Number);
const program = fileURLToPath(new URL('../bin/nightfill.js', import.meta.url));

const records = `[${Array.from(
  { length: contracts },
  (_, number) =>
    `{"id":"CT-${String(number).padStart(8, '0')}","uuid":"7e3f0a1c-0b1e-4d3e-9c4a-${String(number).padStart(12, '0')}","customer":{"id":"CU-${number % 5_000}","name":"Müller & Söhne ${number % 5_000} GmbH"},"currency":"${number % 3 ? 'EUR' : 'USD'}","amount":${number % 10_000}.50,"updatedAt":"2026-01-05T02:30:45.120Z","attributes":{"seats":${number % 500},"plan":"gold","tags":["nightly","batch"]}}`,
).join(',')}]`;

/** The same records in the places where APIs put them. */
const pages = {
  'the whole answer': { body: records, path: undefined, gzip: false },
  'data.items': {
    body: `{"meta":{"page":1},"data":{"count":${contracts},"items":${records}}}`,
    path: 'data.items',
    gzip: false,
  },
  'data.items, gzip': { body: `{"data":{"items":${records}}}`, path: 'data.items', gzip: true },
  'beside another long member': {
    body: `{"facets":[${Array.from({ length: contracts }, (_, facet) => `${facet}.0`).join(',')}],"data":${records}}`,
    path: 'data',
    gzip: false,
  },
};

let answer: { body: Buffer; gzip: boolean };
const server = createServer((_request, response) => {
  response.setHeader('content-type', 'application/json');
  if (answer.gzip) response.setHeader('content-encoding', 'gzip');
  response.end(answer.body);
}).listen(0, '127.0.0.1');
await once(server, 'listening');

await using cluster = await startCluster();
const folder = await mkdtemp(path.join(tmpdir(), 'nightfill-page-'));

async function night(name: string, recordsPath: string | undefined): Promise<Report> {
  const column = (from: string, type: string) => ({ from: `listed.${from}`, type });
  const job = {
    name,
    apis: {
      crm: {
        type: 'rest',
        baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        auth: { type: 'none' },
        maxResponse: '256MB',
      },
    },
    contracts: {
      api: 'crm',
      path: '/contracts',
      ...(recordsPath && { records: recordsPath }),
      key: 'id',
      paginate: { type: 'none' },
    },
    load: {
      table: name,
      key: ['id'],
      columns: {
        id: column('id', 'text'),
        customer: column('customer.name', 'text'),
        currency: column('currency', 'char(3)'),
        amount: column('amount', 'numeric(18,2)'),
        updated_at: column('updatedAt', 'timestamptz'),
        attributes: column('attributes', 'jsonb'),
      },
    },
    controls: [{ sum: 'amount', by: 'currency' }],
  };
  await writeFile(path.join(folder, `${name}.yaml`), JSON.stringify(job));
  const url = new URL(cluster.url);
  const admin = new pg.Client({ connectionString: url.href });
  await admin.connect();
  await admin.query(`CREATE DATABASE ${name}`);
  await admin.end();
  url.pathname = `/${name}`;
  const child = spawn(process.execPath, [program, 'run', `${name}.yaml`, '--report', `${name}.json`], {
    cwd: folder,
    env: { ...process.env, DATABASE_URL: url.href, NIGHTFILL_LOG_LEVEL: 'silent' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [code] = (await once(child, 'exit')) as [number];
  if (code !== 0) throw new Error(`the run ended with ${code}`);
  return JSON.parse(await readFile(path.join(folder, `${name}.json`), 'utf8')) as Report;
}

try {
  for (const [index, [where, page]] of Object.entries(pages).entries()) {
    const body = Buffer.from(page.body);
    answer = { body: page.gzip ? gzipSync(body) : body, gzip: page.gzip };
    const begun = performance.now();
    const { process: figures } = await night(`page_${index}`, page.path);
    console.log(
      `${contracts} records as ${where}, ${(body.length / 1e6).toFixed(1)} MB: longest stall ${figures.eventLoopDelayMs.max} ms, peak ${Math.round(figures.peakMemoryBytes / 2 ** 20)} MB, ${((performance.now() - begun) / 1_000).toFixed(1)} s`,
    );
  }
} finally {
  server.close();
  await rm(folder, { recursive: true });
}
