import assert from 'node:assert/strict';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { test } from 'node:test';
import { Api } from '../../../src/sources/api/api.ts';
import { apiOptions } from '../../support/api-fixture.ts';
import { repeats } from '../../support/long.ts';
import { mostWithin, startStrictServer } from '../../support/strict-server.ts';

const rate = { requests: 100, per: 1000 };
const seconds = repeats(3, 20);
/** Milliseconds: the window keeps its promise while the way to the server varies by less than a tenth of it. */
const promisedSpread = 100;

test('at 100 requests a second and 80 to 160 ms of latency no window at the server holds more, and the rate is used', async (t) => {
  // In a thread of its own: what this one does beside asking neither delays its stamps nor blurs them.
  await using server = await startStrictServer({ rate, latency: { min: 80, max: 160 } });
  await using api = new Api(apiOptions(server.url, { limits: { concurrency: 50, rates: [rate] }, connections: 50 }));
  const stalls = monitorEventLoopDelay({ resolution: 5 });
  stalls.enable();
  const end = performance.now() + seconds * 1000;
  // Workers that pull, more than there are slots, as the runner does.
  await Promise.all(
    Array.from({ length: 60 }, async () => {
      while (performance.now() < end) await api.request({ url: '/contracts/1' });
    }),
  );
  const { arrivals, violations, refused, worstStallMs } = await server.report();
  stalls.disable();
  const { rateLimited, concurrency, rates } = api.statistics();
  assert.ok(concurrency.peak <= 50);
  assert.deepEqual(rates, [{ requests: 100, perMs: 1000, peak: 100 }]);
  // Where threads stood still for longer than a way out may vary, only an interval shorter by as much can be judged.
  const excess = Math.max(0, (worstStallMs + stalls.max / 1e6) * 1.25 - promisedSpread);
  const most = mostWithin(arrivals, rate.per - excess);
  assert.ok(most <= rate.requests, `${most} arrivals within ${Math.round(rate.per - excess)} ms`);
  if (excess > 0) return t.diagnostic(`threads stood still: judged by ${Math.round(rate.per - excess)} ms`);
  assert.deepEqual({ violations, refused, rateLimited }, { violations: 0, refused: 0, rateLimited: 0 });
  // By the server's own stamps: what the windows between the first and the last arrival could have taken.
  const possible = rate.requests * ((arrivals.at(-1)! - arrivals[0]!) / rate.per);
  assert.ok(arrivals.length >= 0.9 * possible, `${arrivals.length} of ${Math.round(possible)}`);
});
