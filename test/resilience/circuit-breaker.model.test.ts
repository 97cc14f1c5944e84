import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BreakerOpenError, type BreakerState, CircuitBreaker } from '../../src/resilience/circuit-breaker.ts';
import { NightfillError } from '../../src/resilience/failure.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { repeats } from '../support/long.ts';

/** The breaker as its documentation tells it, for calls that come one after another. */
class Model {
  state: BreakerState = 'closed';
  opened = 0;
  retryAt = 0;
  inRow = 0;
  trials = { good: 0, bad: 0 };
  readonly options: { failures: number; openFor: number; trials: number };

  constructor(options: { failures: number; openFor: number; trials: number }) {
    this.options = options;
  }

  /** Whether the call passes. */
  call(result: 'good' | 'bad' | 'missing' | 'aborted', now: number): boolean {
    if (this.state === 'isolated' || (this.state === 'open' && now < this.retryAt)) return false;
    if (this.state === 'open') this.become('half-open');
    if (result === 'aborted') return true;
    if (this.state === 'half-open') {
      this.trials[result === 'bad' ? 'bad' : 'good'] += 1;
      const { good, bad } = this.trials;
      const left = this.options.trials - good - bad;
      if (bad >= this.options.trials / 2) this.open(now);
      else if (bad + left < this.options.trials / 2) this.become('closed');
    } else {
      this.inRow = result === 'bad' ? this.inRow + 1 : 0;
      if (this.inRow === this.options.failures) this.open(now);
    }
    return true;
  }

  become(state: BreakerState): void {
    this.state = state;
    this.inRow = 0;
    this.trials = { good: 0, bad: 0 };
  }

  open(now: number): void {
    this.opened += 1;
    this.retryAt = now + this.options.openFor;
    this.become('open');
  }
}

const errors = {
  bad: new Error('bad'),
  missing: new NightfillError({ code: 'HTTP_404', class: 'data', message: 'missing' }),
  aborted: new DOMException('aborted', 'AbortError'),
};

const step = fc.oneof(
  { weight: 12, arbitrary: fc.record({ call: fc.constantFrom('good', 'bad', 'bad', 'missing', 'aborted') }) },
  { weight: 6, arbitrary: fc.record({ pass: fc.nat(60) }) },
  { weight: 1, arbitrary: fc.record({ hand: fc.constantFrom('reset', 'isolate') }) },
);

test('over any history of calls, time and hands the breaker does what its model does', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        failures: fc.integer({ min: 1, max: 4 }),
        openFor: fc.integer({ min: 0, max: 100 }),
        trials: fc.integer({ min: 1, max: 6 }),
      }),
      fc.array(step, { maxLength: 80 }),
      async (options, steps) => {
        const clock = new FakeClock();
        const changes: BreakerState[] = ['closed'];
        const onStateChange = (from: BreakerState, to: BreakerState): void => {
          assert.equal(from, changes.at(-1));
          assert.notEqual(from, to);
          changes.push(to);
        };
        const breaker = new CircuitBreaker({ ...options, clock, onStateChange });
        const model = new Model(options);
        for (const action of steps) {
          if ('pass' in action) await clock.advance(action.pass);
          else if ('hand' in action) {
            breaker[action.hand]();
            model.become(action.hand === 'reset' ? 'closed' : 'isolated');
          } else {
            const { call } = action;
            let ran = false;
            const outcome: unknown = await breaker
              .execute(async () => {
                ran = true;
                return call === 'good' ? Promise.resolve(call) : Promise.reject(errors[call]);
              })
              .catch((error: unknown) => error);
            const passes = model.call(call, clock.now());
            assert.equal(ran, passes);
            if (passes) assert.equal(outcome, call === 'good' ? call : errors[call]);
            else assert.ok(outcome instanceof BreakerOpenError);
          }
          assert.equal(breaker.state, model.state);
          assert.equal(breaker.opened, model.opened);
        }
        assert.equal(changes.at(-1), breaker.state);
      },
    ),
    { numRuns: repeats(100, 5_000) },
  );
});

test('among concurrent calls no more than asked for are trials, and whoever waits is served in the end', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ at: fc.nat(300), takes: fc.nat(60), fails: fc.boolean() }), { minLength: 1, maxLength: 30 }),
      async (calls) => {
        const clock = new FakeClock();
        const breaker = new CircuitBreaker({ failures: 2, openFor: 50, trials: 2, clock });
        let trials = 0;
        let most = 0;
        let served = 0;
        const run = async ({ at, takes, fails }: (typeof calls)[number]): Promise<void> => {
          await clock.sleep(at);
          const task = async (): Promise<void> => {
            served += 1;
            const isTrial = breaker.state === 'half-open';
            if (isTrial) most = Math.max(most, (trials += 1));
            await clock.sleep(takes);
            if (isTrial) trials -= 1;
            if (fails) throw new Error('fails');
          };
          await breaker.execute(task, { wait: true }).catch((error: Error) => assert.equal(error.message, 'fails'));
        };
        await clock.finish(Promise.all(calls.map(run)));
        assert.equal(served, calls.length);
        // Two at a time, and two more that were still running when an earlier verdict was reached without them.
        assert.ok(most <= 4);
        assert.deepEqual(clock.pending, []);
      },
    ),
    { numRuns: repeats(30, 1_000) },
  );
});
