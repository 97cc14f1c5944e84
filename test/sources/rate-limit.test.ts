import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Api } from '../../src/sources/api.ts';
import { apiOptions } from '../support/api-fixture.ts';
import { startStrictServer } from '../support/strict-server.ts';

const rate = { requests: 100, per: 1000 };
const seconds = 6;

test('at 100 requests a second and 80 to 160 ms of latency no window at the server holds more, and the rate is used', async () => {
  // In a thread of its own: what this one does beside asking neither delays its stamps nor blurs them.
  await using server = await startStrictServer({ rate, latency: { min: 80, max: 160 } });
  await using api = new Api(apiOptions(server.url, { limits: { concurrency: 50, rates: [rate] }, connections: 50 }));
  const end = performance.now() + seconds * 1000;
  // Workers that pull, more than there are slots, as the runner does.
  await Promise.all(
    Array.from({ length: 60 }, async () => {
      while (performance.now() < end) await api.request({ url: '/contracts/1' });
    }),
  );
  const { arrivals, violations, refused, worstStallMs } = await server.report();
  assert.deepEqual(
    { violations, refused },
    { violations: 0, refused: 0 },
    `its thread stood still for ${worstStallMs} ms`,
  );
  const { rateLimited, concurrency, rates } = api.statistics();
  assert.equal(rateLimited, 0);
  assert.ok(concurrency.peak <= 50);
  assert.deepEqual(rates, [{ requests: 100, perMs: 1000, peak: 100 }]);
  // By the server's own stamps: what the windows between the first and the last arrival could have taken.
  const possible = rate.requests * ((arrivals.at(-1)! - arrivals[0]!) / rate.per);
  assert.ok(arrivals.length >= 0.9 * possible, `${arrivals.length} of ${Math.round(possible)}`);
});
