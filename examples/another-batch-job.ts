/*
 * Another batch job in one file: the prices of 300 products from an API that allows 100 requests in any second, fails
 * sometimes, asks to wait once and hangs once. It starts that API itself, so it runs without preparation:
 *
 *     node examples/another-batch-job.ts
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  asCompleted,
  breaking,
  CircuitBreaker,
  limiting,
  retryAfter,
  retrying,
  RollingWindow,
  stack,
  timing,
} from '../src/resilience/index.ts'; // in your project: 'nightfill/resilience'

class HttpError extends Error {
  readonly status: number;
  /** Milliseconds. */
  readonly wait: number | undefined;

  constructor(response: Response) {
    super(`the server answered ${response.status}`);
    this.status = response.status;
    this.wait = retryAfter(Object.fromEntries(response.headers));
  }
}

/** Timeouts and broken connections are not an HttpError; they are transient. */
const isTransient = (error: unknown): boolean =>
  !(error instanceof HttpError) || error.status === 429 || error.status >= 500;

const window = new RollingWindow({ rates: [{ requests: 100, per: 1_000 }] });
const breaker = new CircuitBreaker({
  failures: 5,
  openFor: 1_000,
  trials: 2,
  // A server that answers 429 or 404 is not down.
  countIf: (error) => !(error instanceof HttpError) || error.status >= 500,
});

/** From the outside in: retry, breaker, limiter, timeout. */
const protect = stack(
  retrying({
    attempts: 5,
    backoff: 'exponential',
    baseDelay: 100,
    maxDelay: 5_000,
    jitter: true,
    maxElapsed: 30_000,
    retryIf: isTransient,
    retryAfter: (error) => (error instanceof HttpError ? error.wait : undefined),
    onRetry(_attempt, error) {
      // All requests share the limit, so all of them wait.
      if (error instanceof HttpError && error.wait) window.pauseUntil(performance.now() + error.wait);
    },
  }),
  breaking(breaker, { wait: true }),
  limiting(window),
  timing(1_000),
);

async function priceOf(product: number, { url, signal }: { url: string; signal: AbortSignal }): Promise<number> {
  const load = protect(async (attempt) => {
    const response = await fetch(`${url}/products/${product}`, { signal: attempt });
    if (!response.ok) {
      // An answer that is not read to its end keeps its socket.
      await response.body?.cancel();
      throw new HttpError(response);
    }
    return ((await response.json()) as { price: number }).price;
  });
  return load(signal);
}

function* products(): Generator<number> {
  for (let product = 1; product <= 300; product += 1) yield product;
}

/** The API: strange to some products the first time it is asked for them, and to one always. */
async function startShop(): Promise<{ url: string; close: () => void }> {
  const asked = new Set<string>();
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    const product = Number(path.slice('/products/'.length));
    const first = !asked.has(path);
    asked.add(path);
    if (product === 13) response.writeHead(404).end();
    else if (first && product === 42) return; // never answered: the timeout ends it
    else if (first && product === 150) response.writeHead(429, { 'retry-after': '1' }).end();
    else if (first && product % 40 === 0) response.writeHead(503).end();
    else response.end(JSON.stringify({ price: product / 100 }));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const close = (): void => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}

const shop = await startShop();
let loaded = 0;
let cents = 0;
const failed: string[] = [];
const prices = asCompleted(products(), async (product, signal) => priceOf(product, { url: shop.url, signal }), {
  concurrency: 20,
});
for await (const outcome of prices) {
  if (outcome.status === 'fulfilled') {
    loaded += 1;
    cents += Math.round(outcome.value * 100);
  } else {
    failed.push(`product ${outcome.item}: ${(outcome.reason as Error).message}`);
  }
}
shop.close();
console.log(`${loaded} prices, ${cents} cents in all`);
console.log(`${failed.length} failed: ${failed.join(', ')}`);
console.log(`at most ${window.peaks()[0]?.peak} requests were sent in any second, breaker ${breaker.state}`);
