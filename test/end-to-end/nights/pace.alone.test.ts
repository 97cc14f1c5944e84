import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { IncomingMessage } from 'node:http';
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { repeats } from '../../support/long.ts';
import { simulatedNight } from '../../support/simulated-job.ts';

const limit = { requests: 100, per: 1_000 };
const contracts = repeats(390, 890);
/** Milliseconds: the window keeps its promise while the way to the server varies by less than a tenth of it. */
const promisedSpread = 100;

test('100 requests a second are never passed at the server, and at least nine tenths of them are used', async (t) => {
  // The server's own stamps, taken as each request's head has arrived; by port, which tells the two APIs apart.
  const arrivals = new Map<number, number[]>();
  const stamp = (message: unknown): void => {
    const { request } = message as { request: IncomingMessage };
    const port = request.socket.localPort!;
    arrivals.set(port, [...(arrivals.get(port) ?? []), performance.now()]);
  };
  subscribe('http.server.request.start', stamp);
  t.after(() => unsubscribe('http.server.request.start', stamp));

  const { simulator, night } = await simulatedNight(t, {
    simulator: { contracts, customers: 300, rate: limit, latency: { min: 80, max: 160 } },
    job: { api: { limits: { concurrency: 50, rates: [{ requests: limit.requests, per: '1s' }] }, timeout: '10s' } },
  });
  const stalls = monitorEventLoopDelay({ resolution: 5 });
  stalls.enable();
  // A process of its own: what the servers do here must not delay what it sends.
  const run = await night.startProcess('run', 'job.yaml').ended;
  stalls.disable();
  assert.equal(run.exitCode, 0, run.stdout + run.stderr);

  const { amounts, counts, apis, process: program } = await night.report();
  assert.equal(counts.enriched, contracts);
  assert(amounts.length > 0);
  for (const { peak, requests } of apis.flatMap(({ rates }) => rates)) assert(peak <= requests);

  // Where either process stood still for longer than a way may vary, only an interval shorter by as much can be judged.
  const excess = Math.max(0, (program.eventLoopDelayMs.max + stalls.max / 1e6) * 1.25 - promisedSpread);
  const per = limit.per - excess;
  for (const url of [simulator.crmUrl, simulator.usageUrl]) {
    const stamps = arrivals.get(Number(new URL(url).port))!;
    for (const [index, at] of stamps.entries()) {
      const since = stamps[index - limit.requests];
      assert(since === undefined || at - since >= per, `${limit.requests + 1} requests within ${at - since!} ms`);
    }
  }
  if (excess > 0) return t.diagnostic(`a process stood still: judged by ${Math.round(per)} ms`);
  const { crm, usage } = await simulator.statistics();
  for (const api of [crm, usage]) {
    assert.deepEqual([api.violations, api.rateLimited, api.statuses[429] ?? 0], [0, 0, 0], api.api);
  }
  const stamps = arrivals.get(Number(new URL(simulator.crmUrl).port))!;
  assert(stamps.length >= contracts);
  const taken = stamps.at(-1)! - stamps[0]!;
  const possible = (limit.requests * taken) / limit.per;
  assert(stamps.length >= 0.9 * possible, `${stamps.length} requests in ${taken} ms, where ${possible} may be sent`);
  // The soonest the limit allows: a window's worth at once, and the next one each time a window has passed.
  const ideal = (Math.ceil(stamps.length / limit.requests) - 1) * limit.per;
  t.diagnostic(`${(taken / ideal).toFixed(3)} times the shortest possible time`);
});
