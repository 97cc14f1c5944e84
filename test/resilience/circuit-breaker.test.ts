import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { test } from 'node:test';
import { BreakerOpenError, type BreakerState, CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import { NightfillError } from '../../src/resilience/failure.ts';
import { FakeClock } from '../support/fake-clock.ts';

const good = async (): Promise<string> => Promise.resolve('good');
const bad = async (): Promise<never> => Promise.reject(new Error('bad'));
const missing = async (): Promise<never> =>
  Promise.reject(new NightfillError({ code: 'HTTP_404', class: 'data', message: 'There is no such record.' }));

async function fail(breaker: CircuitBreaker, times: number, task = bad): Promise<void> {
  for (let count = 0; count < times; count += 1) await assert.rejects(breaker.execute(task));
}

function breakerWith(options: Partial<ConstructorParameters<typeof CircuitBreaker>[0]> = {}): {
  breaker: CircuitBreaker;
  clock: FakeClock;
  changes: [BreakerState, BreakerState][];
} {
  const clock = new FakeClock();
  const changes: [BreakerState, BreakerState][] = [];
  const onStateChange = (from: BreakerState, to: BreakerState): void => void changes.push([from, to]);
  const defaults = { failures: 3, openFor: 1000, trials: 2, onStateChange, clock };
  return { breaker: new CircuitBreaker({ ...defaults, ...options }), clock, changes };
}

test('consecutive failures open the breaker, which then rejects all calls', async () => {
  const { breaker, clock } = breakerWith();
  await clock.advance(50);
  await fail(breaker, 3);
  assert.equal(breaker.state, 'open');
  let called = false;
  const call = breaker.execute(async () => Promise.resolve((called = true)));
  await assert.rejects(call, { name: 'BreakerOpenError', code: 'BREAKER_OPEN', retryAt: 1050 });
  assert.equal(called, false);
});

test('a successful call between failures resets the count', async () => {
  const { breaker } = breakerWith();
  await fail(breaker, 2);
  await breaker.execute(good);
  await fail(breaker, 2);
  assert.equal(breaker.state, 'closed');
  await fail(breaker, 1);
  assert.equal(breaker.state, 'open');
});

test('an error that is not transient does not open it, and resets the count', async () => {
  const { breaker } = breakerWith();
  await fail(breaker, 2);
  await fail(breaker, 10, missing);
  await fail(breaker, 2);
  assert.equal(breaker.state, 'closed');
});

test('what counts can be decided by the caller', async () => {
  const { breaker } = breakerWith({ countIf: (error) => (error as NightfillError).code === 'HTTP_404' });
  await fail(breaker, 5, bad);
  assert.equal(breaker.state, 'closed');
  await fail(breaker, 3, missing);
  assert.equal(breaker.state, 'open');
});

test('after its time the breaker lets trials through, and closes after enough good ones', async () => {
  const { breaker, clock, changes } = breakerWith();
  await fail(breaker, 3);
  await clock.advance(999);
  await assert.rejects(breaker.execute(good), BreakerOpenError);
  await clock.advance(1);
  await breaker.execute(good);
  assert.equal(breaker.state, 'half-open');
  await breaker.execute(good);
  assert.equal(breaker.state, 'closed');
  assert.equal(breaker.opened, 1);
  assert.deepEqual(changes, [
    ['closed', 'open'],
    ['open', 'half-open'],
    ['half-open', 'closed'],
  ]);
});

test('one bad trial opens it again for the whole time', async () => {
  const { breaker, clock } = breakerWith();
  await fail(breaker, 3);
  await clock.advance(1000);
  await breaker.execute(good);
  await fail(breaker, 1);
  assert.equal(breaker.state, 'open');
  assert.equal(breaker.opened, 2);
  await clock.advance(999);
  await assert.rejects(breaker.execute(good), BreakerOpenError);
});

test('a trial that fails with an error that is not transient counts as a success', async () => {
  const { breaker, clock } = breakerWith();
  await fail(breaker, 3);
  await clock.advance(1000);
  await fail(breaker, 2, missing);
  assert.equal(breaker.state, 'closed');
});

test('half-open admits as many trials as asked for, and decides by their share as soon as that is certain', async () => {
  const { breaker, clock } = breakerWith({ trials: 5 });
  await fail(breaker, 3);
  await clock.advance(1000);
  const ends = [good, bad, bad, good, good].map((end) => async () => clock.sleep(100).then(end));
  const trials = ends.map(async (task) => breaker.execute(task));
  await assert.rejects(breaker.execute(good), BreakerOpenError);
  await clock.finish(Promise.allSettled(trials));
  assert.equal(breaker.state, 'closed', 'three of five were good');
  await fail(breaker, 3);
  await clock.advance(1000);
  await breaker.execute(good);
  await fail(breaker, 3);
  assert.equal(breaker.state, 'open', 'three of five were bad, and the fifth is not waited for');
});

test('a cancelled trial does not count, and another takes its place', async () => {
  const { breaker, clock } = breakerWith();
  await fail(breaker, 3);
  await clock.advance(1000);
  const abort = new AbortController();
  const trial = breaker.execute(async () => clock.sleep(100, abort.signal));
  abort.abort();
  await assert.rejects(trial, { name: 'AbortError' });
  assert.equal(breaker.state, 'half-open');
  await breaker.execute(good);
  await breaker.execute(good);
  assert.equal(breaker.state, 'closed');
});

test('a call that failed because its caller aborted it, with whatever reason, does not count', async () => {
  const { breaker, clock } = breakerWith({ failures: 1 });
  const abort = new AbortController();
  const call = breaker.execute(async () => clock.sleep(100, abort.signal), { signal: abort.signal });
  abort.abort(new Error('the run has ended'));
  await assert.rejects(call, { message: 'the run has ended' });
  assert.equal(breaker.state, 'closed');
});

test('a call begun before a change of state does not count after it', async () => {
  const { breaker, clock } = breakerWith();
  const late = assert.rejects(
    breaker.execute(async () => {
      await clock.sleep(1500);
      throw new Error('late');
    }),
    { message: 'late' },
  );
  await fail(breaker, 3);
  await clock.advance(1000);
  await breaker.execute(good);
  await clock.advance(500);
  await late;
  assert.equal(breaker.state, 'half-open');
  await breaker.execute(good);
  assert.equal(breaker.state, 'closed');
});

test('a successful call that started before the breaker opened is not a trial', async () => {
  const { breaker, clock } = breakerWith();
  const late = breaker.execute(async () => clock.sleep(1500));
  await fail(breaker, 3);
  await clock.advance(1000);
  await breaker.execute(good);
  await clock.advance(500);
  await late;
  assert.equal(breaker.state, 'half-open');
});

test('a breaker that has closed again has forgotten the failures that opened it', async () => {
  const { breaker, clock } = breakerWith({
    failures: 100,
    openFor: 10,
    trials: 1,
    failureRate: 0.5,
    window: 1000,
    minimumCalls: 4,
  });
  await fail(breaker, 4);
  await clock.advance(10);
  await breaker.execute(good);
  await fail(breaker, 3);
  assert.equal(breaker.state, 'closed');
});

test('a rate of failures over a sampling window opens it too, once there were enough calls', async () => {
  const { breaker, clock } = breakerWith({
    failures: 100,
    failureRate: 0.5,
    window: 1000,
    minimumCalls: 4,
  });
  await fail(breaker, 1);
  await breaker.execute(good);
  await fail(breaker, 1);
  assert.equal(breaker.state, 'closed');
  await clock.advance(1000);
  await fail(breaker, 3);
  assert.equal(breaker.state, 'closed');
  await fail(breaker, 1);
  assert.equal(breaker.state, 'open');
});

test('failures older than the sampling window do not count in the rate', async () => {
  const rate = { failureRate: 0.5, window: 1000, minimumCalls: 4 };
  const { breaker, clock } = breakerWith({ failures: 100, ...rate });
  await fail(breaker, 3);
  await clock.advance(1000);
  for (let count = 0; count < 3; count += 1) await breaker.execute(good);
  await fail(breaker, 1);
  assert.equal(breaker.state, 'closed');
});

test('a rate that is no share is a mistake', () => {
  for (const failureRate of [0, 50, Number.NaN])
    assert.throws(() => breakerWith({ failureRate }), { code: 'NUMBER_OUT_OF_RANGE' });
});

test('without options it opens when half of 20 calls within 30 s failed, and closes after 3 good trials of 5', async () => {
  const clock = new FakeClock();
  const breaker = new CircuitBreaker({ clock });
  await fail(breaker, 19);
  assert.equal(breaker.state, 'closed');
  await clock.advance(30_000);
  await fail(breaker, 10);
  assert.equal(breaker.state, 'closed', 'what failed 30 s ago is forgotten');
  for (let count = 0; count < 9; count += 1) await breaker.execute(good);
  await fail(breaker, 1);
  assert.equal(breaker.state, 'open');
  await clock.advance(29_999);
  await assert.rejects(breaker.execute(good), BreakerOpenError);
  await clock.advance(1);
  await breaker.execute(good);
  await breaker.execute(good);
  assert.equal(breaker.state, 'half-open');
  await breaker.execute(good);
  assert.equal(breaker.state, 'closed');
});

test('repeats of a few broken records are not an outage: in the rate each address counts once', async () => {
  const { breaker } = breakerWith({ failures: Infinity, failureRate: 0.5, minimumCalls: 20 });
  const dead = ['/a', '/b', '/c'];
  for (let round = 0; round < 50; round += 1)
    for (const name of dead) await assert.rejects(breaker.execute(bad, { name }));
  assert.equal(breaker.state, 'closed');
  for (let count = 0; count < 17; count += 1) await assert.rejects(breaker.execute(bad, { name: `/${count}` }));
  assert.equal(breaker.state, 'open');
});

test('an outage opens it at once, however many calls succeeded before', async () => {
  const { breaker } = breakerWith({ failures: Infinity, failureRate: 0.5, minimumCalls: 20 });
  for (let count = 0; count < 3000; count += 1) await breaker.execute(good);
  await fail(breaker, 19);
  await breaker.execute(good);
  await fail(breaker, 19);
  assert.equal(breaker.state, 'closed');
  await fail(breaker, 1);
  assert.equal(breaker.state, 'open');
});

test('an address that failed and then succeeded counts as good', async () => {
  const { breaker } = breakerWith({ failures: Infinity, failureRate: 0.5, minimumCalls: 4 });
  for (let count = 0; count < 40; count += 1) {
    await assert.rejects(breaker.execute(bad, { name: `/${count % 2}` }));
    await breaker.execute(good, { name: `/${count % 2}` });
  }
  assert.equal(breaker.state, 'closed');
});

test('a failure without evidence does not count, but a success does', async () => {
  const { breaker, clock } = breakerWith();
  for (let count = 0; count < 5; count += 1) await assert.rejects(breaker.execute(bad, { evidence: () => false }));
  assert.equal(breaker.state, 'closed');
  await fail(breaker, 3);
  await clock.advance(1000);
  await assert.rejects(breaker.execute(bad, { evidence: () => false }));
  assert.equal(breaker.state, 'half-open', 'it made place for another trial');
  await breaker.execute(good, { evidence: () => false });
  await breaker.execute(good);
  assert.equal(breaker.state, 'closed');
});

test('an error that did not come from the server counts as neither failure nor success', async () => {
  const { breaker, clock } = breakerWith({ countIf: () => false, answered: () => false });
  const open = breakerWith({ countIf: (error) => (error as Error).message === 'bad', answered: () => false });
  await fail(breaker, 10);
  assert.equal(breaker.state, 'closed');
  await fail(open.breaker, 3);
  await open.clock.advance(1000);
  for (let count = 0; count < 6; count += 1) await assert.rejects(open.breaker.execute(missing));
  assert.equal(open.breaker.state, 'half-open');
  await clock.settle();
});

test('it stays open for as long as the server asked, however long openFor is', async () => {
  for (const wait of [200, 60_000]) {
    const { breaker, clock } = breakerWith({ retryAfter: () => wait });
    await fail(breaker, 3);
    assert.equal(breaker.retryAt, wait);
    await clock.advance(wait - 1);
    await assert.rejects(breaker.execute(good), BreakerOpenError);
    await clock.advance(1);
    await breaker.execute(good);
  }
});

test('when isolated it rejects all calls until it is reset', async () => {
  const { breaker, clock } = breakerWith();
  breaker.isolate();
  await clock.advance(1_000_000);
  await assert.rejects(breaker.execute(good), { retryAt: Infinity });
  assert.equal(breaker.opened, 0);
  breaker.reset();
  await breaker.execute(good);
  assert.equal(breaker.state, 'closed');
});

test('a reset forgets the failures counted so far', async () => {
  const { breaker } = breakerWith();
  await fail(breaker, 2);
  breaker.reset();
  await fail(breaker, 2);
  assert.equal(breaker.state, 'closed');
});

test('a waiter resumes when the breaker may be tried, and leaves nothing behind', async () => {
  const { breaker, clock } = breakerWith();
  await breaker.whenReady();
  await fail(breaker, 3);
  const abort = new AbortController();
  await clock.finish(breaker.whenReady({ signal: abort.signal }));
  assert.equal(clock.now(), 1000);
  assert.deepEqual(clock.pending, []);
  assert.equal(getEventListeners(abort.signal, 'abort').length, 0);
});

test('a reset frees those who wait', async () => {
  const { breaker, clock } = breakerWith();
  await fail(breaker, 3);
  const ready = breaker.whenReady();
  await clock.settle();
  breaker.reset();
  await ready;
  assert.deepEqual(clock.pending, []);
});

test('a waiter with an earlier deadline is rejected at once', async () => {
  const { breaker, clock } = breakerWith();
  await fail(breaker, 3);
  await assert.rejects(breaker.whenReady({ deadline: 999 }), { code: 'BREAKER_OPEN', retryAt: 1000 });
  breaker.isolate();
  await assert.rejects(breaker.whenReady({ deadline: 1e9 }), { retryAt: Infinity });
  assert.deepEqual(clock.pending, []);
});

test('waiting for a trial ends at the deadline', async () => {
  const { breaker, clock } = breakerWith();
  await fail(breaker, 3);
  await clock.advance(1000);
  const trial = Promise.all([1, 2].map(async () => breaker.execute(async () => clock.sleep(5000))));
  const waiting = assert.rejects(breaker.whenReady({ deadline: 2000 }), BreakerOpenError);
  await clock.advance(1000);
  await waiting;
  await clock.finish(trial);
});

test('an abort ends the waiting at once with its reason', async () => {
  const { breaker, clock } = breakerWith();
  await fail(breaker, 3);
  const abort = new AbortController();
  const waiting = assert.rejects(breaker.whenReady({ signal: abort.signal }), { message: 'enough' });
  await clock.settle();
  abort.abort(new Error('enough'));
  await waiting;
  assert.deepEqual(clock.pending, []);
});

test('many waiting calls share the trials, and none is rejected', async () => {
  const { breaker, clock } = breakerWith();
  await fail(breaker, 3);
  let running = 0;
  let most = 0;
  const task = async (): Promise<number> => {
    running += 1;
    if (breaker.state === 'half-open') most = Math.max(most, running);
    await clock.sleep(10);
    running -= 1;
    return clock.now();
  };
  const calls = Array.from({ length: 20 }, async () => breaker.execute(task, { wait: true }));
  const ends = await clock.finish(Promise.all(calls));
  assert.equal(most, 2);
  assert.deepEqual(ends.toSorted((a, b) => a - b).slice(0, 4), [1010, 1010, 1020, 1020]);
});
