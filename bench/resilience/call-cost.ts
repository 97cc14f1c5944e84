import Bottleneck from 'bottleneck';
import * as cockatiel from 'cockatiel';
import Opossum from 'opossum';
import PQueue from 'p-queue';
import pRetry from 'p-retry';
import {
  breaking,
  CircuitBreaker,
  limiting,
  retry,
  retrying,
  RollingWindow,
  stack,
  timing,
  withTimeout,
} from '../../src/resilience/index.ts';
import type { Contestant, Figures, Row } from './row.ts';

/** A limit that is never reached, so that nobody waits. */
const plenty = 1e9;
const mostCalls = 10_000;
const roundMs = 60;
const rounds = 7;

type Call = () => Promise<unknown>;
type Calls = Partial<Record<Contestant, Call>>;

const work = async (): Promise<number> => Promise.resolve(1);
const { signal } = new AbortController();
const timeout = 30_000;
const retries = {
  attempts: 5,
  backoff: 'exponential',
  baseDelay: 200,
  maxDelay: 30_000,
  jitter: true,
  maxElapsed: 60_000,
} as const;

const newWindow = () => new RollingWindow({ rates: [{ requests: plenty, per: 1000 }] });
const newBreaker = () => new CircuitBreaker({ failures: 5, openFor: timeout, trials: 2 });
const newReservoir = () =>
  new Bottleneck({ reservoir: plenty, reservoirRefreshAmount: plenty, reservoirRefreshInterval: 1000 });
const newCockatielRetry = () =>
  cockatiel.retry(cockatiel.handleAll, { maxAttempts: 4, backoff: new cockatiel.ExponentialBackoff() });
const newCockatielBreaker = () =>
  cockatiel.circuitBreaker(cockatiel.handleAll, {
    halfOpenAfter: timeout,
    breaker: new cockatiel.ConsecutiveBreaker(5),
  });
const newCockatielTimeout = () => cockatiel.timeout(timeout, cockatiel.TimeoutStrategy.Cooperative);
const pRetryOptions = { retries: 4, minTimeout: 200, randomize: true };

function acquires(): Calls {
  const window = newWindow();
  const reservoir = newReservoir();
  const queue = new PQueue({ intervalCap: plenty, interval: 1000, strict: true });
  return {
    async nightfill() {
      // Given back: what was sent would rest for a second, and the window would not be idle.
      const permit = await window.acquire();
      await work();
      permit.release();
    },
    bottleneck: async () => reservoir.schedule(work),
    'p-queue': async () => queue.add(work),
  };
}

function retriesOfSuccess(): Calls {
  const policy = newCockatielRetry();
  return {
    nightfill: async () => retry(work, retries),
    'p-retry': async () => pRetry(work, pRetryOptions),
    cockatiel: async () => policy.execute(work),
  };
}

function breakerCalls(): Calls {
  const breaker = newBreaker();
  const opossum = new Opossum(work, { timeout: false });
  const policy = newCockatielBreaker();
  return {
    nightfill: async () => breaker.execute(work),
    opossum: async () => opossum.fire(),
    cockatiel: async () => policy.execute(work),
  };
}

/** Opossum has no signal of the task's own to abort, only one for all calls, and bottleneck none. */
function timeouts(): Calls {
  const policy = newCockatielTimeout();
  const queue = new PQueue({ timeout });
  return {
    nightfill: async () => withTimeout(timeout, work, { signal }),
    cockatiel: async () => policy.execute(work, signal),
    'p-queue': async () => queue.add(work, { signal }),
  };
}

function stacks(): Calls {
  const ours = stack(retrying(retries), breaking(newBreaker()), limiting(newWindow()), timing(timeout))(work);
  const reservoir = newReservoir();
  const opossum = new Opossum(work, { timeout });
  const trio: Call = async () => pRetry(async () => reservoir.schedule(async () => opossum.fire()), pRetryOptions);
  const wrapped = cockatiel.wrap(newCockatielRetry(), newCockatielBreaker(), newCockatielTimeout());
  return {
    nightfill: async () => ours(signal),
    'p-retry': trio,
    bottleneck: trio,
    opossum: trio,
    cockatiel: async () => wrapped.execute(work, signal),
  };
}

/** Microseconds of CPU of one call, all threads of the process counted. */
async function costOf(call: Call): Promise<number> {
  const until = performance.now() + roundMs;
  const before = process.cpuUsage();
  let calls = 0;
  while (calls < mostCalls && performance.now() < until) {
    for (let index = 0; index < 100; index += 1) await call();
    calls += 100;
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / calls;
}

async function costs(calls: Calls): Promise<Figures> {
  const figures: Figures = {};
  const measured = new Map<Call, number>();
  // In turn, so that a busy moment of the machine meets all; the least is what the code itself costs.
  for (let round = 0; round < rounds; round += 1) {
    for (const call of new Set(Object.values(calls))) {
      measured.set(call, Math.min(measured.get(call) ?? Infinity, await costOf(call)));
    }
  }
  for (const [name, call] of Object.entries(calls)) {
    const cost = measured.get(call);
    if (cost !== undefined) figures[name as Contestant] = cost;
  }
  return figures;
}

/** What a call costs when nothing goes wrong and nobody waits. */
export async function callCosts(): Promise<Row[]> {
  const row = async (what: string, calls: Calls): Promise<Row> => {
    const figures = await costs(calls);
    const noise = Math.max(0.1, 0.05 * Math.min(...Object.values(figures)));
    return { what: `µs of CPU per call: ${what}`, figures, best: 'least', decimals: 2, noise };
  };
  return [
    await row('acquire of an idle limiter', acquires()),
    await row('retry of a success', retriesOfSuccess()),
    await row('call through a closed breaker', breakerCalls()),
    await row("timeout that aborts the task's own signal", timeouts()),
    await row('retry + breaker + limiter + timeout', stacks()),
  ];
}
