import { setTimeout as delay } from 'node:timers/promises';
import Bottleneck from 'bottleneck';
import * as cockatiel from 'cockatiel';
import pRetry from 'p-retry';
import { retry, retryAfter } from '../../src/resilience/index.ts';
import { ScriptedServer } from '../../test/support/scripted-server.ts';
import type { Contestant, Figures, Row } from './row.ts';

const repeats = 3;

class Refused extends Error {
  readonly headers: Record<string, string>;

  constructor(headers: Record<string, string>) {
    super('refused');
    this.headers = headers;
  }
}

/** Throws Refused for an answer 429. */
type Ask = () => Promise<void>;
type Retrying = (ask: Ask) => Promise<unknown>;

/** What is written by hand wherever a library does not read the header. */
function byHand(error: unknown): number {
  if (!(error instanceof Refused)) return 0;
  const asked = error.headers['retry-after'] ?? '';
  const seconds = Number(asked);
  return Math.max(0, Number.isNaN(seconds) ? Date.parse(asked) - Date.now() : seconds * 1000);
}

const nightfill =
  ({ maxElapsed = 60_000 } = {}): Retrying =>
  async (ask) =>
    retry(ask, {
      attempts: 5,
      backoff: 'exponential',
      baseDelay: 200,
      maxDelay: 30_000,
      jitter: true,
      maxElapsed,
      retryAfter: (error) => (error instanceof Refused ? retryAfter(error.headers) : undefined),
    });

const byOwnMeans: Partial<Record<Contestant, Retrying>> = {
  nightfill: nightfill(),
  'p-retry': async (ask) => pRetry(ask, { retries: 4, minTimeout: 200, randomize: true }),
  cockatiel: async (ask) =>
    cockatiel
      .retry(cockatiel.handleAll, {
        maxAttempts: 4,
        backoff: new cockatiel.ExponentialBackoff({ initialDelay: 200 }),
      })
      .execute(ask),
};

const toldByHand = ({ patience = 60_000 } = {}): Partial<Record<Contestant, Retrying>> => ({
  nightfill: nightfill({ maxElapsed: patience }),
  'p-retry': async (ask) =>
    pRetry(ask, {
      retries: 4,
      minTimeout: 0,
      maxRetryTime: patience,
      onFailedAttempt: async ({ error }) => delay(byHand(error)),
    }),
  bottleneck: async (ask) => {
    const limiter = new Bottleneck();
    limiter.on('failed', async (error: unknown) => Promise.resolve(byHand(error)));
    await limiter.schedule(ask);
  },
  cockatiel: async (ask) =>
    cockatiel
      .retry(cockatiel.handleAll, {
        maxAttempts: 4,
        backoff: new cockatiel.DelegateBackoff(({ result }) => ('error' in result ? byHand(result.error) : 0)),
      })
      .execute(ask),
});

/** Gives the header's value and when, in milliseconds from now, the server means. */
type Asking = () => { headers: Record<string, string>; inMs: number };

const seconds =
  (count: number): Asking =>
  () => ({
    headers: { 'retry-after': String(count) },
    inMs: count * 1000,
  });

/** At a whole second, as HTTP dates are; the server's clock is `behind` ours by so many milliseconds. */
const date =
  ({ behind = 0 } = {}): Asking =>
  () => {
    const serverNow = Date.now() - behind;
    const from = Math.floor(serverNow / 1000) * 1000 + 2000;
    const headers = { 'retry-after': new Date(from).toUTCString(), date: new Date(serverNow).toUTCString() };
    return { headers, inMs: from - serverNow };
  };

/** Milliseconds by which the second request came too early; the caller's time until it knows when it gives up. */
async function run(retrying: Retrying, asking: Asking): Promise<{ early: number; took: number }> {
  let from = 0;
  let early = 0;
  await using server = await ScriptedServer.start(({ at }) => {
    if (from > 0) {
      early = Math.max(early, from - at);
      return { json: {} };
    }
    const { headers, inMs } = asking();
    from = performance.now() + inMs;
    return { status: 429, headers, json: {} };
  });
  const began = performance.now();
  const ask: Ask = async () => {
    const response = await fetch(server.origin);
    await response.text();
    if (!response.ok) throw new Refused(Object.fromEntries(response.headers));
  };
  await retrying(ask).catch((error: unknown) => {
    if (!(error instanceof Error)) throw error;
  });
  return { early, took: performance.now() - began };
}

async function worst(
  which: Partial<Record<Contestant, Retrying>>,
  asking: Asking,
  figure: 'early' | 'took' = 'early',
): Promise<Figures> {
  const figures: Figures = {};
  await Promise.all(
    Object.entries(which).map(async ([name, retrying]) => {
      const runs = await Promise.all(Array.from({ length: repeats }, async () => run(retrying, asking)));
      figures[name as Contestant] = Math.max(...runs.map((one) => one[figure]));
    }),
  );
  return figures;
}

async function tillKnown(): Promise<Row> {
  return {
    what: 'Retry-After of 3 s, 1 s of patience: ms until the caller knows',
    figures: await worst(toldByHand({ patience: 1000 }), seconds(3), 'took'),
    best: 'least',
    noise: 5,
  };
}

/** How early the second request comes after an answer that says when it may come. */
export async function retryAfterHistory(): Promise<Row[]> {
  const hand = toldByHand();
  const early = async (what: string, figures: Promise<Figures>): Promise<Row> => ({
    what: `Retry-After, ${what}: ms too early`,
    figures: await figures,
    best: 'least',
    noise: 0.5,
  });
  return Promise.all([
    early('seconds, by its own means', worst(byOwnMeans, seconds(1))),
    early('HTTP date, by its own means', worst(byOwnMeans, date())),
    early('seconds, the time handed over by hand', worst(hand, seconds(1))),
    early('HTTP date, the time handed over by hand', worst(hand, date())),
    early("HTTP date, the server's clock 2 s behind", worst(hand, date({ behind: 2000 }))),
    tillKnown(),
  ]);
}
