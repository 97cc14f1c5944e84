/*
 * The most memory a night takes, by the number of contracts: a local API lists them as fast as it is asked, the job has
 * no lookups, so nothing but listing, planning and loading is under way. What it prints is VmHWM and the CPU time of the program's
 * process (Linux), the database aside. `--max-semi-space-size=64` takes away the bound that the program gives itself.
 * Run: npx node bench/memory.ts [contracts] [runs] [V8 flags…], for example `200000 3 --max-semi-space-size=8`
 * Uses NIGHTFILL_TEST_CLUSTER when set, else a throw-away cluster.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { startCluster } from '../test/support/cluster.ts';

const [contracts = 200_000, runs = 3] = process.argv.slice(2, 4).map(Number);
const flags = process.argv.slice(4);
const perPage = 1_000;
const program = fileURLToPath(new URL('../bin/nightfill.js', import.meta.url));

/** `?offset=N`: a thousand contracts of about 250 bytes each. */
const server = createServer((request, response) => {
  const offset = Number(new URL(request.url!, 'http://server').searchParams.get('offset'));
  const length = Math.max(0, Math.min(perPage, contracts - offset));
  const data = Array.from({ length }, (_, index) => {
    const number = offset + index;
    return {
      id: `CT-${String(number).padStart(8, '0')}`,
      customer: { id: `CU-${number % 5_000}`, name: `Müller & Söhne ${number % 5_000} GmbH`, segment: 'enterprise' },
      currency: number % 3 ? 'EUR' : 'USD',
      amount: `${number % 100_000}.25`,
      startsOn: '2024-01-01',
      renewsOn: '2026-12-31',
      attributes: { seats: number % 500, plan: 'gold', tags: ['nightly', 'batch'] },
    };
  });
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ data, total: contracts }));
}).listen(0, '127.0.0.1');
await once(server, 'listening');

await using cluster = await startCluster();
const folder = await mkdtemp(path.join(tmpdir(), 'nightfill-memory-'));
const column = (from: string, type: string) => ({ from: `listed.${from}`, type });
await writeFile(
  path.join(folder, 'job.yaml'),
  JSON.stringify({
    name: 'memory',
    apis: {
      crm: {
        type: 'rest',
        baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        auth: { type: 'none' },
      },
    },
    contracts: {
      api: 'crm',
      path: '/contracts',
      records: 'data',
      key: 'id',
      total: 'total',
      paginate: { type: 'offset', param: 'offset', limit: perPage },
    },
    load: {
      table: 'memory',
      key: ['id'],
      columns: {
        id: column('id', 'text'),
        customer: column('customer.name', 'text'),
        currency: column('currency', 'char(3)'),
        amount: column('amount', 'numeric(18,2)'),
        renews_on: column('renewsOn', 'date'),
        attributes: column('attributes', 'jsonb'),
      },
    },
    controls: [{ sum: 'amount', by: 'currency' }],
  }),
);

/** Peak megabytes, seconds and seconds of CPU of one night in a database of its own. */
async function measure(run: number): Promise<{ megabytes: number; seconds: number; cpu: number }> {
  const url = new URL(cluster.url);
  const admin = new pg.Client({ connectionString: url.href });
  await admin.connect();
  await admin.query(`CREATE DATABASE memory_${run}`);
  await admin.end();
  url.pathname = `/memory_${run}`;
  const begun = performance.now();
  const child = spawn(process.execPath, [...flags, program, 'run', 'job.yaml'], {
    cwd: folder,
    env: { ...process.env, DATABASE_URL: url.href, NIGHTFILL_LOG_LEVEL: 'silent' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  let kilobytes = 0;
  let ticks = 0;
  const look = setInterval(() => {
    try {
      const [, most] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8')) ?? [];
      kilobytes = Math.max(kilobytes, Number(most ?? 0));
      // User and system time, in hundredths of a second.
      const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
      ticks = Number(fields[11]) + Number(fields[12]);
    } catch {
      // It has just ended.
    }
  }, 50);
  const [code] = (await once(child, 'exit')) as [number];
  clearInterval(look);
  if (code !== 0) throw new Error(`the run ended with ${code}`);
  return { megabytes: Math.round(kilobytes / 1024), seconds: (performance.now() - begun) / 1_000, cpu: ticks / 100 };
}

try {
  for (let run = 1; run <= runs; run += 1) {
    const { megabytes, seconds, cpu } = await measure(run);
    console.log(
      `${contracts} contracts${flags.length > 0 ? ` ${flags.join(' ')}` : ''}: ${megabytes} MB, ${seconds.toFixed(1)} s, ${cpu.toFixed(1)} s of CPU`,
    );
  }
} finally {
  server.close();
  await rm(folder, { recursive: true });
}
