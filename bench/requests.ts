/*
 * CPU time of one request when nothing holds requests back: no rates, a server in a process of its own, so that only the
 * client's time counts. `Api.request` as a run calls it (a deadline, the run's signal, a lookup's name) in turn with bare
 * undici on a pool of as many sockets; only their ratio means something on another machine. Each answer is a record of
 * 400 bytes with dates, ids and an amount whose last digit is a zero.
 * Run: npx node bench/requests.ts [requests a round] [rounds]
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Dispatcher, Pool } from 'undici';
import { Api } from '../src/sources/api/api.ts';
import { apiOptions } from '../test/support/api-fixture.ts';

const connections = 50;
/** Requests. */
const turn = 1_000;

const record = JSON.stringify({
  id: 'CT-00000017',
  uuid: '7e3f0a1c-0b1e-4d3e-9c4a-1e5d0f2b3c4d',
  customer: { id: 'CU-00004711', name: 'Müller & Söhne GmbH', phone: '+49 30 1234567-01', segment: 'enterprise' },
  currency: 'EUR',
  annualValue: '@',
  seats: 125,
  startsOn: '2024-01-01',
  renewsOn: '2026-12-31',
  updatedAt: '2026-01-05T02:30:45.120Z',
  attributes: { plan: 'gold', tags: ['nightly', 'batch'], autoRenew: true },
}).replace('"@"', '12500.50');

/** The server's process: answers every request with the record. */
async function serve(): Promise<void> {
  const server = createServer({ keepAliveTimeout: 60_000 }, (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(record) });
    response.end(record);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  process.send!((server.address() as AddressInfo).port);
  process.once('disconnect', () => process.exit());
}

/** What `Api.request` sends as well. */
const headers = { accept: 'application/json', 'accept-encoding': 'gzip, deflate, br', 'user-agent': 'nightfill' };

type Ask = (path: string) => Promise<unknown>;

/** Microseconds of this process's CPU time for each of `requests`, asked over all sockets at once. */
async function measure(ask: Ask, requests: number): Promise<number> {
  let next = 0;
  const askInTurn = async (): Promise<void> => {
    while (next < requests) await ask(`/contracts/CT-${(next += 1)}`);
  };
  const before = process.cpuUsage();
  await Promise.all(Array.from({ length: connections }, askInTurn));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / requests;
}

/** Undici's least: a handler that collects the body. */
async function dispatched(pool: Pool, path: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart: () => undefined,
      onResponseStart: () => undefined,
      onResponseData: (_controller, chunk) => void chunks.push(chunk),
      onResponseEnd: () => resolve(JSON.parse(Buffer.concat(chunks).toString())),
      onResponseError: (_controller, error) => reject(error),
    };
    pool.dispatch({ method: 'GET', path, headers }, handler);
  });
}

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

async function compare(origin: string, { requests, rounds }: { requests: number; rounds: number }): Promise<void> {
  const pool = new Pool(origin, { connections, allowH2: false });
  const api = new Api(
    apiOptions(origin, {
      connections,
      limits: { concurrency: connections },
      timeout: 30_000,
      retry: { maxElapsed: 120_000 },
    }),
  );
  const run = new AbortController();
  const deadline = performance.now() + 3_600_000;
  const contestants: Record<string, Ask> = {
    'undici request': async (path) => (await pool.request({ method: 'GET', path, headers })).body.json(),
    'undici dispatch': async (path) => dispatched(pool, path),
    'Api.request': async (path) =>
      api.request({
        url: api.resolveUrl(path, {}),
        lane: 'contract',
        signal: run.signal,
        deadline,
        waitForBreaker: true,
      }),
  };
  const results = new Map<string, number[]>(Object.keys(contestants).map((name) => [name, []]));
  for (let round = -1; round < rounds; round += 1) {
    // In short turns, so that whatever else the machine does meets all of them alike.
    const sums = new Map<string, number>();
    for (let asked = 0; asked < requests; asked += turn)
      for (const [name, ask] of Object.entries(contestants))
        sums.set(name, (sums.get(name) ?? 0) + (await measure(ask, turn)) * turn);
    // In the first everything is still being compiled.
    if (round >= 0) for (const [name, sum] of sums) results.get(name)!.push(sum / requests);
  }
  await Promise.all([pool.close(), api.close()]);

  const base = results.get('undici request')!;
  console.log(`${requests} requests a round over ${connections} sockets, median of ${rounds}`);
  for (const [name, figures] of results) {
    const ratio = median(figures.map((figure, round) => figure / base[round]!));
    const all = figures.map((figure) => figure.toFixed(1)).join(' ');
    console.log(
      `${name.padEnd(16)} ${median(figures).toFixed(1).padStart(6)} µs of CPU a request, ratio ${ratio.toFixed(2)}   (${all})`,
    );
  }
}

if (process.argv[2] === 'serve') await serve();
else {
  const [requests = 20_000, rounds = 5] = process.argv.slice(2).map(Number);
  const server = fork(new URL(import.meta.url), ['serve']);
  const [port] = (await once(server, 'message')) as [number];
  try {
    await compare(`http://127.0.0.1:${port}`, { requests, rounds });
  } finally {
    server.disconnect();
  }
}
