import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Permit, RollingWindow } from '../../src/resilience/rolling-window.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { repeats } from '../support/long.ts';

interface Event {
  at: number;
  weight: number;
}

/** The most weight within any half-open interval of `per`, the plain way. */
function peakOf(events: Event[], per: number): number {
  let peak = 0;
  for (const { at } of events) {
    let weight = 0;
    for (const other of events) if (other.at > at - per && other.at <= at) weight += other.weight;
    peak = Math.max(peak, weight);
  }
  return peak;
}

const rate = fc.record({ requests: fc.integer({ min: 3, max: 25 }), per: fc.constantFrom(100, 250, 1000) });

test('whatever is asked, sent, aborted and delayed, the server never sees more than any window allows', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        rates: fc.array(rate, { minLength: 1, maxLength: 2 }),
        workers: fc.integer({ min: 1, max: 12 }),
        /** Share of the widest jitter the window is told to expect. */
        jitter: fc.double({ min: 0, max: 1, noNaN: true }),
        serverTime: fc.nat(60),
        serverSpread: fc.nat(80),
        seed: fc.integer(),
      }),
      async ({ rates, workers, jitter, serverTime, serverSpread, seed }) => {
        const clock = new FakeClock({ seed });
        const uplinkSpread = 0.1;
        const widest = Math.min(...rates.map(({ per }) => per)) * uplinkSpread;
        const heaviest = Math.min(3, ...rates.map(({ requests }) => requests));
        const window = new RollingWindow({ rates, uplinkSpread, clock });
        const sends: Event[] = [];
        const arrivals: Event[] = [];

        const use = async (permit: Permit, weight: number): Promise<void> => {
          if (clock.random() < 0.3) await clock.sleep(clock.random() * 40);
          if (clock.random() < 0.05) return permit.release();
          permit.sent();
          const uplink = 7 + clock.random() * jitter * widest;
          sends.push({ at: clock.now(), weight });
          arrivals.push({ at: clock.now() + uplink, weight });
          await clock.sleep(uplink + serverTime + clock.random() * serverSpread);
          // Some never get an answer.
          if (clock.random() < 0.95) permit.answered();
          permit.release();
        };
        const work = async (worker: number): Promise<void> => {
          for (let count = 0; count < 12; count += 1) {
            const weight = 1 + Math.floor(clock.random() * heaviest);
            const abort = new AbortController();
            const patience = clock.random() < 0.1 ? clock.sleep(clock.random() * 200) : undefined;
            void patience?.then(() => abort.abort());
            const permit = await window
              .acquire({ weight, key: `${worker % 3}`, signal: abort.signal })
              .catch(() => undefined);
            await patience;
            if (permit) await use(permit, weight);
          }
        };
        await clock.finish(Promise.all(Array.from({ length: workers }, async (_, worker) => work(worker))));

        for (const [index, { requests, per }] of rates.entries()) {
          assert.ok(peakOf(arrivals, per) <= requests, `${peakOf(arrivals, per)} arrived, ${requests} may`);
          assert.equal(window.peaks()[index]?.peak, peakOf(sends, per));
        }
        assert.equal(window.waiting, 0);
        assert.deepEqual(clock.pending, []);
      },
    ),
    // The learning takes chances of some in a million (TravelTime); the seed keeps a red run reproducible.
    { numRuns: repeats(30, 1_000), seed: 1 },
  );
});

test('with few or no answers even the worst jitter within the spread breaks no window', async () => {
  await fc.assert(
    fc.asyncProperty(
      rate,
      fc.array(fc.boolean(), { minLength: 40, maxLength: 40 }),
      fc.nat(11),
      async ({ requests, per }, late, answers) => {
        const clock = new FakeClock();
        const window = new RollingWindow({ rates: [{ requests, per }], margin: 0, uplinkSpread: 0.1, clock });
        const arrivals: Event[] = [];
        const work = (async () => {
          for (const [index, isLate] of late.entries()) {
            const permit = await window.acquire();
            permit.sent();
            arrivals.push({ at: clock.now() + (isLate ? 0.1 * per : 0), weight: 1 });
            if (index < answers) permit.answered();
          }
        })();
        await clock.finish(work);
        assert.ok(peakOf(arrivals, per) <= requests);
      },
    ),
    { numRuns: repeats(30, 1_000) },
  );
});

test('a constant transit time costs only the margin', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 100, per: 1000 }], margin: 5, clock });
  const work = async (): Promise<void> => {
    for (let count = 0; count < 20; count += 1) {
      const permit = await window.acquire();
      permit.sent();
      await clock.sleep(100);
      permit.answered();
    }
  };
  await clock.finish(Promise.all(Array.from({ length: 50 }, work)));
  // The 901st request may leave after nine windows, and every one of them may be 5 ms longer.
  assert.equal(clock.now(), 9 * 1005 + 200);
});

test('a varying transit time costs little more than its mean lateness', async () => {
  const clock = new FakeClock({ seed: 3 });
  const window = new RollingWindow({ rates: [{ requests: 100, per: 1000 }], margin: 5, clock });
  const arrivals: Event[] = [];
  const work = async (): Promise<void> => {
    for (let count = 0; count < 20; count += 1) {
      const permit = await window.acquire();
      permit.sent();
      const uplink = 10 + clock.random() * 20;
      arrivals.push({ at: clock.now() + uplink, weight: 1 });
      await clock.sleep(uplink + 70);
      permit.answered();
    }
  };
  await clock.finish(Promise.all(Array.from({ length: 100 }, work)));
  assert.ok(peakOf(arrivals, 1000) <= 100);
  assert.ok(clock.now() < 19_000 * 1.02 + 110, `${clock.now()} ms`);
});

test('a single answer that was too fast does not slow down the rest of the night', async () => {
  const clock = new FakeClock();
  const window = new RollingWindow({ rates: [{ requests: 100, per: 1000 }], margin: 5, clock });
  const early = await window.acquire();
  early.sent();
  early.answered();
  const work = async (): Promise<void> => {
    for (let count = 0; count < 25; count += 1) {
      const permit = await window.acquire();
      permit.sent();
      await clock.sleep(100);
      permit.answered();
    }
  };
  await clock.finish(Promise.all(Array.from({ length: 100 }, work)));
  const before = clock.now();
  await clock.finish(Promise.all(Array.from({ length: 100 }, work)));
  assert.ok(clock.now() - before < 25 * 1006 + 100, `${clock.now() - before} ms for 25 windows`);
});
