import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { isMainThread, type MessagePort, parentPort, Worker, workerData } from 'node:worker_threads';
import { Arrivals, type Rate } from '../../src/simulator/arrivals.ts';
import { startTcpProxy } from './tcp-proxy.ts';

interface Range {
  min: number;
  max: number;
}

/** Durations in milliseconds. */
export interface StrictServerOptions {
  /** What more arrives within any such interval is answered 429. */
  rate: Rate;
  /** Between a request and its answer. */
  latency: Range;
  /** What each packet is held up on its way, both ways, by a TCP proxy in front; none by default. */
  jitter?: Range;
}

export interface StrictServerReport {
  /** When each request arrived, on the server's own monotonic clock. */
  arrivals: number[];
  /** Arrivals that made more than the rate allows in the interval ending with them. */
  violations: number;
  /** Answered 429. */
  refused: number;
  /** The longest the server's thread stood still: its stamps may be late by that much. */
  worstStallMs: number;
}

export interface StrictServer extends AsyncDisposable {
  url: string;
  report(): Promise<StrictServerReport>;
}

/** Present in the worker's data, so that another worker importing this file does not start serving. */
const purpose = 'strict-server';

/** An HTTP server in a thread of its own that stamps arrivals and keeps a rolling limit to the letter. */
export async function startStrictServer(options: StrictServerOptions): Promise<StrictServer> {
  const worker = new Worker(new URL(import.meta.url), { workerData: { purpose, options } });
  const [url] = (await once(worker, 'message')) as [string];
  return {
    url,
    async report() {
      worker.postMessage('report');
      const [report] = (await once(worker, 'message')) as [StrictServerReport];
      return report;
    },
    async [Symbol.asyncDispose]() {
      await worker.terminate();
    },
  };
}

async function serve(port: MessagePort, { rate, latency, jitter }: StrictServerOptions): Promise<void> {
  const random = seeded(1);
  const within = ({ min, max }: Range): number => min + random() * (max - min);
  const arrivals = new Arrivals(rate);
  const stalls = monitorEventLoopDelay({ resolution: 5 });
  const stamps: number[] = [];
  const server = createServer({ keepAliveTimeout: 60_000 }, (_request, response) => {
    const now = performance.now();
    const refused = arrivals.arrive(now) > 0;
    stamps.push(now);
    void delay(within(latency)).then(() => response.writeHead(refused ? 429 : 200).end('{}'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const direct = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const proxy = jitter && (await startTcpProxy(direct, { delay: () => within(jitter) }));
  port.on('message', () => {
    const { violations, refused } = arrivals;
    // The histogram also counts its own interval of 5 ms.
    const worstStallMs = Math.max(0, stalls.max / 1e6 - 5);
    port.postMessage({ arrivals: stamps, violations, refused, worstStallMs } satisfies StrictServerReport);
  });
  port.postMessage(proxy?.url ?? direct);
  stalls.enable();
}

/** Park and Miller's generator: the same jitter each time. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

if (!isMainThread && parentPort) {
  const data = workerData as { purpose?: string; options: StrictServerOptions } | null;
  if (data?.purpose === purpose) await serve(parentPort, data.options);
}

/** The most stamps within any half-open interval of `length`. */
export function mostWithin(stamps: readonly number[], length: number): number {
  let most = 0;
  for (let first = 0, last = 0; last < stamps.length; last += 1) {
    while (stamps[last]! - stamps[first]! >= length) first += 1;
    most = Math.max(most, last - first + 1);
  }
  return most;
}
