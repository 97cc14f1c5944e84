import Bottleneck from 'bottleneck';
import PQueue from 'p-queue';
import { asCompleted, RollingWindow } from '../../src/resilience/index.ts';
import { exchange, openPool } from '../../src/sources/http/exchange.ts';
import { startStrictServer, type StrictServerOptions } from '../../test/support/strict-server.ts';
import type { Contestant, Row } from './row.ts';

const rate = { requests: 100, per: 1000 };
const requests = 500;
const atOnce = 50;
const latency = { min: 20, max: 40 };
const jitter = { min: 10, max: 30 };
/** With a longer stall of the server's thread its stamps say little: one more run, and the calmer of the two counts. */
const longestStall = 50;

interface Moments {
  onWritten?: () => void;
  onAnswered?: () => void;
}

/** Sends one request and gives its status. */
type Send = (moments?: Moments) => Promise<number>;

/** Sends all requests under its limit, those answered 429 again. */
type Limiter = (send: Send) => Promise<void>;

const numbers = Array.from({ length: requests }, (_, index) => index);

async function nightfill(send: Send): Promise<void> {
  const window = new RollingWindow({ rates: [rate] });
  const ask = async (): Promise<void> => {
    for (let status = 429; status === 429;) {
      const permit = await window.acquire();
      status = await send({ onWritten: () => permit.sent(), onAnswered: () => permit.answered() });
    }
  };
  for await (const outcome of asCompleted(numbers, ask, { concurrency: atOnce })) {
    if (outcome.status === 'rejected') throw outcome.reason;
  }
}

/** The recipe of its readme for "so many per interval". */
async function bottleneckReservoir(send: Send): Promise<void> {
  return withBottleneck(send, {
    reservoir: rate.requests,
    reservoirRefreshAmount: rate.requests,
    reservoirRefreshInterval: rate.per,
  });
}

/** The readme's other recipe: evenly spaced. */
async function bottleneckMinTime(send: Send): Promise<void> {
  return withBottleneck(send, { minTime: rate.per / rate.requests });
}

async function withBottleneck(send: Send, options: Bottleneck.ConstructorOptions): Promise<void> {
  const limiter = new Bottleneck({ maxConcurrent: atOnce, ...options });
  const ask = async (): Promise<void> => {
    while ((await limiter.schedule(async () => send())) === 429);
  };
  await Promise.all(numbers.map(ask));
  await limiter.disconnect();
}

async function pQueueStrict(send: Send): Promise<void> {
  const queue = new PQueue({
    concurrency: atOnce,
    intervalCap: rate.requests,
    interval: rate.per,
    strict: true,
  });
  const ask = async (): Promise<void> => {
    while ((await queue.add(async () => send())) === 429);
  };
  await Promise.all(numbers.map(ask));
}

interface Judged {
  violations: number;
  refused: number;
  /** Share of the allowed rate, in per cent. */
  used: number;
  worstStallMs: number;
}

async function judge(limiter: Limiter, server: StrictServerOptions): Promise<Judged> {
  await using strict = await startStrictServer(server);
  const pool = openPool(strict.url, { connections: atOnce, connectTimeout: 5_000 });
  let first = Infinity;
  let last = -Infinity;
  await limiter(async (moments = {}) => {
    const { status } = await exchange(pool, { method: 'GET', path: '/', headers: {} }, { maxBytes: 100, ...moments });
    last = performance.now();
    first = Math.min(first, last);
    return status;
  });
  await pool.close();
  const { violations, refused, worstStallMs } = await strict.report();
  // As many as a window holds at once, then so many per window: nobody may be sooner.
  const soonest = (requests / rate.requests - 1) * rate.per;
  return { violations, refused, worstStallMs, used: (soonest / (last - first)) * 100 };
}

async function judgeCalmly(limiter: Limiter, server: StrictServerOptions): Promise<Judged> {
  const first = await judge(limiter, server);
  if (first.worstStallMs <= longestStall) return first;
  const second = await judge(limiter, server);
  return second.worstStallMs < first.worstStallMs ? second : first;
}

const better = (a: Judged, b: Judged): Judged => (a.violations <= b.violations ? a : b);

async function judgeAll(server: StrictServerOptions): Promise<Partial<Record<Contestant, Judged>>> {
  const ours = await judgeCalmly(nightfill, server);
  const queue = await judgeCalmly(pQueueStrict, server);
  const reservoir = await judgeCalmly(bottleneckReservoir, server);
  const minTime = await judgeCalmly(bottleneckMinTime, server);
  return { nightfill: ours, 'p-queue': queue, bottleneck: better(reservoir, minTime) };
}

/** 500 requests under "100 in any second", at a strict server without and with jitter on the way. */
export async function limitHistory(): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [way, server] of [
    ['no proxy', { rate, latency }],
    ['jittering proxy', { rate, latency, jitter }],
  ] as const) {
    const judged = Object.entries(await judgeAll(server));
    const column = (key: keyof Judged) => Object.fromEntries(judged.map(([name, figures]) => [name, figures[key]]));
    rows.push(
      { what: `Limit, ${way}: requests in windows over the limit`, figures: column('violations'), best: 'least' },
      { what: `Limit, ${way}: answers 429`, figures: column('refused'), best: 'least' },
      { what: `Limit, ${way}: % of the allowed rate used`, figures: column('used'), best: 'most', noise: 1 },
    );
  }
  return rows;
}
