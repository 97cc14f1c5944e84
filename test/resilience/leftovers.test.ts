import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import {
  asCompleted,
  BoundedQueue,
  breaking,
  CircuitBreaker,
  gather,
  gatherWithLimit,
  limiting,
  retry,
  retrying,
  RollingWindow,
  Scope,
  shield,
  stack,
  timing,
  TokenBucket,
  withDeadline,
  withLastKnown,
  withTimeout,
} from '../../src/resilience/index.ts';

const hour = 3_600_000;
const rates = [{ requests: 1, per: hour }];
const patience = {
  attempts: 3,
  backoff: 'constant',
  baseDelay: hour,
  maxDelay: hour,
  jitter: false,
  maxElapsed: 3 * hour,
} as const;
const quick = { ...patience, baseDelay: 1 };
const stop = new Error('stop');

const succeed = async (): Promise<number> => Promise.resolve(1);
const fail = async (): Promise<never> => Promise.reject(new Error('failed'));
/** Ends only when it is told to. */
const untilAborted = async (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });

async function openBreaker(): Promise<CircuitBreaker> {
  const breaker = new CircuitBreaker({ failures: 1, openFor: hour, trials: 1 });
  await breaker.execute(fail).catch(() => undefined);
  return breaker;
}

async function emptyWindow(): Promise<RollingWindow> {
  const window = new RollingWindow({ rates });
  (await window.acquire()).sent();
  return window;
}

/** Each runs to its end, or into a wait of an hour that only the abort ends. */
const uses: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
  'a retry that succeeds': async (signal) => retry(succeed, { ...patience, signal }),
  'a retry that fails': async (signal) => retry(fail, { ...quick, signal }),
  'a retry that waits': async (signal) => retry(fail, { ...patience, signal }),
  'a timeout that is not needed': async (signal) => withTimeout(hour, succeed, { signal }),
  'a timeout that strikes': async (signal) => withTimeout(1, untilAborted, { signal }),
  'a timeout of a task that is aborted': async (signal) => withTimeout(hour, untilAborted, { signal }),
  'a deadline that is not needed': async (signal) => withDeadline(performance.now() + hour, succeed, { signal }),
  'a shield with a limit': async () => shield(succeed, { limit: hour }),
  'a permit that is there': async (signal) => new RollingWindow({ rates }).acquire({ signal }),
  'a permit that is waited for': async (signal) => (await emptyWindow()).acquire({ signal }),
  'two permits that are waited for': async (signal) => {
    const window = await emptyWindow();
    return Promise.all([window.acquire({ signal, key: 'a' }), window.acquire({ signal, key: 'b' })]);
  },
  'tokens that are waited for': async (signal) => {
    const bucket = new TokenBucket({ rate: 1 / 3600, capacity: 1 });
    await bucket.acquire({ signal });
    await bucket.acquire({ signal });
  },
  'a call through a closed breaker': async (signal) =>
    new CircuitBreaker({ failures: 1, openFor: hour, trials: 1 }).execute(succeed, { signal }),
  'a call that an open breaker refuses': async (signal) => (await openBreaker()).execute(succeed, { signal }),
  'a call that waits for an open breaker': async (signal) =>
    (await openBreaker()).execute(succeed, { signal, wait: true }),
  'a last known value': async () =>
    withLastKnown(fail, { lastKnown: async () => Promise.resolve({ value: 1, asOf: 0 }), maxAge: Infinity }),
  'a scope that is joined': async (signal) => {
    await using scope = new Scope({ mode: 'collect', signal });
    scope.spawn(succeed);
    await scope.join();
  },
  'a scope that is left by an error': async (signal) => {
    await using scope = new Scope({ mode: 'failFast', signal });
    scope.spawn(untilAborted);
    throw new Error('left');
  },
  'a gathering that succeeds': async (signal) => gather([succeed, succeed], { signal }),
  'a gathering of which one fails': async (signal) => gather([untilAborted, fail], { signal }),
  'a bounded gathering': async (signal) => gatherWithLimit([1, 2, 3], succeed, { concurrency: 2, signal }),
  'a loop over outcomes that is left': async (signal) => {
    const task = async (item: number, own: AbortSignal): Promise<number> => (item === 1 ? 1 : untilAborted(own));
    for await (const _outcome of asCompleted([1, 2, 3], task, { concurrency: 3, signal })) break;
  },
  'a loop over outcomes that is aborted': async (signal) => {
    for await (const _outcome of asCompleted([1, 2], async (_item, own) => untilAborted(own), {
      concurrency: 2,
      signal,
    }));
  },
  'a queue with a producer that waits': async (signal) => {
    const queue = new BoundedQueue<number>({ items: 1 });
    await queue.push(1, signal);
    await queue.push(2, signal);
  },
  'a stack of everything': async (signal) =>
    stack(
      retrying(quick),
      breaking(new CircuitBreaker({ failures: 9, openFor: hour, trials: 1 }), { wait: true }),
      limiting(new RollingWindow({ rates: [{ requests: 9, per: hour }] })),
      timing(hour),
    )(fail)(signal),
};

const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;

for (const [name, use] of Object.entries(uses)) {
  test(`${name} leaves no timer and no listener`, async () => {
    const before = timers();
    const run = new AbortController();
    const ending = use(run.signal).then(
      () => undefined,
      () => undefined,
    );
    // Long enough for what ends by itself to end, so that the abort meets only those that wait an hour.
    const ended = await Promise.race([ending.then(() => true), pause(50).then(() => false)]);
    if (!ended) {
      assert.ok(getEventListeners(run.signal, 'abort').length > 0, 'it waits for the abort');
      run.abort(stop);
      await ending;
    } else {
      await pause(50);
    }
    assert.equal(getEventListeners(run.signal, 'abort').length, 0);
    assert.equal(timers(), before);
  });
}

async function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
