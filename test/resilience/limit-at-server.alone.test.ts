import assert from 'node:assert/strict';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { test } from 'node:test';
import { asCompleted, RollingWindow } from '../../src/resilience/index.ts';
import { exchange, openPool } from '../../src/sources/http/exchange.ts';
import { isLong, repeats } from '../support/long.ts';
import { mostWithin, startStrictServer } from '../support/strict-server.ts';

const rate = { requests: 100, per: 1000 };
const windows = repeats(2, 15);
/** Milliseconds, each way. */
const jitter = { min: 10, max: 30 };
/** The window keeps its promise while the way to the server varies by less than a tenth of it. */
const promisedSpread = 100;

test('through a proxy that delays and jitters both ways no window at the server holds too many, and the rate is used', async (t) => {
  await using server = await startStrictServer({ rate, jitter, latency: { min: 20, max: 40 } });
  const pool = openPool(server.url, { connections: 50, connectTimeout: 5_000 });
  t.after(async () => pool.close());
  const window = new RollingWindow({ rates: [rate] });
  const ask = async (signal: AbortSignal): Promise<number> => {
    const permit = await window.acquire({ signal });
    const { status } = await exchange(
      pool,
      { method: 'GET', path: '/', headers: {} },
      { signal, maxBytes: 100, onWritten: () => permit.sent(), onAnswered: () => permit.answered() },
    );
    return status;
  };
  const stalls = monitorEventLoopDelay({ resolution: 5 });
  stalls.enable();
  const answered: number[] = [];
  const statuses = new Set<number>();
  const items = Array.from({ length: rate.requests * (windows + 1) }, (_, index) => index);
  for await (const outcome of asCompleted(items, async (_item, signal) => ask(signal), { concurrency: 50 })) {
    assert.equal(outcome.status, 'fulfilled');
    statuses.add(outcome.value);
    answered.push(performance.now());
  }
  stalls.disable();
  const { arrivals, violations, refused, worstStallMs } = await server.report();
  assert.equal(arrivals.length, items.length);
  assert.deepEqual(window.peaks(), [{ requests: 100, perMs: 1000, peak: 100 }]);
  // Where threads of a busy machine, which one request may both meet, stood still for longer than the jitter leaves to spare, ways and stamps vary by
  // more than is promised, and only an interval shorter by the excess can be judged.
  const worst = worstStallMs + stalls.max / 1e6;
  const excess = Math.max(0, worst * 1.25 - (promisedSpread - (jitter.max - jitter.min)));
  const most = mostWithin(arrivals, rate.per - excess);
  assert.ok(most <= rate.requests, `${most} arrivals within ${Math.round(rate.per - excess)} ms`);
  if (excess > 0) return t.diagnostic(`a thread stood still for ${Math.round(worst)} ms: judged leniently`);
  assert.deepEqual({ violations, refused, statuses: [...statuses] }, { violations: 0, refused: 0, statuses: [200] });
  // A hundred at once and then a hundred per second is the most a window allows.
  const used = (windows * rate.per) / (answered.at(-1)! - answered[0]!);
  // Two windows are short beside the latency of the last answer and what else this machine does.
  assert.ok(used >= (isLong ? 0.9 : 0.75), `${Math.round(used * 100)} % of the rate was used`);
});
