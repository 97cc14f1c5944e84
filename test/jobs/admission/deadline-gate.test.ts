import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DeadlineGate, type DeadlineContext } from '../../../src/jobs/admission/deadline-gate.ts';
import type { PlannedChunk } from '../../../src/ledger/planned-contract.ts';
import { RollingWindow } from '../../../src/resilience/rolling-window.ts';
import type { ApiStatistics } from '../../../src/sources/api/api.ts';
import { parseTemplate } from '../../../src/sources/json/template.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { repeats } from '../../support/long.ts';

interface Night {
  rate?: { requests: number; per: number };
  concurrency?: number;
  latencyMs?: number;
  /** Milliseconds from now. */
  deadline: number;
  batch?: number;
  path?: string;
  switchOver?: DeadlineContext['switchOver'];
}

/** One API `crm` with one lookup, whose window is a real one on a clock that stands still. */
function night({
  rate,
  concurrency = 1_000,
  latencyMs = 0,
  deadline,
  batch,
  path = '/contracts/{key}',
  switchOver,
}: Night) {
  const clock = new FakeClock();
  const window = rate && new RollingWindow({ rates: [rate], margin: 0, uplinkSpread: 0, clock });
  const figures = { requests: 0, retries: 0 };
  const contracts = { pending: 0, concurrency: 1_000 };
  const tally = { pages: 0, loadMs: 0, loads: 0 };
  const statistics = (): ApiStatistics => ({
    name: 'crm',
    ...figures,
    timeouts: 0,
    statuses: {},
    rateLimited: 0,
    rests: undefined,
    waitedMs: 0,
    latencyMs: { p50: latencyMs, p95: latencyMs, p99: latencyMs, max: latencyMs },
    rates: [],
    concurrency: { limit: concurrency, peak: 0 },
    breaker: { opened: 0, finalState: 'closed' },
    inFlight: 0,
    currentRate: 0,
  });
  const context: DeadlineContext = {
    job: {
      timezone: 'Europe/Berlin',
      contracts: { api: 'crm', path: parseTemplate('/contracts'), query: {}, key: ['id'], paginate: { type: 'none' } },
      lookups: [
        {
          name: 'contract',
          api: 'crm',
          path: parseTemplate(path),
          query: {},
          needs: [],
          onFailure: 'fail',
          maxAge: Infinity,
          ...(batch !== undefined && { batch: { size: batch, param: 'ids', key: ['id'] } }),
        },
      ],
    },
    businessDate: '2026-03-01',
    finishBy: new Date(clock.wallNow() + deadline),
    deadline: clock.now() + deadline,
    clock,
    apis: new Map([['crm', { statistics, soonestSent: (n) => window?.soonest(n) ?? clock.now() }]]),
    contracts,
    loads: { size: 0, pending: 0, concurrency: 2 },
    tally,
    switchOver,
  };
  return { admission: new DeadlineGate(context), clock, window, contracts, tally, figures };
}

let key = 0;
const chunkOf = (contracts: number, listed: object = {}): PlannedChunk => ({
  number: 1,
  contracts: Array.from({ length: contracts }, () => ({
    key: `C-${(key += 1)}`,
    listed: listed as never,
    problem: null,
  })),
});

test('a chunk begins when its requests can be answered by the deadline to the millisecond, and not one later', () => {
  const rate = { requests: 100, per: 1_000 };
  // 1,000 requests take nine windows and the latency of the last.
  assert.equal(night({ rate, latencyMs: 50, deadline: 9_050 }).admission.admits(chunkOf(1_000)), true);
  const late = night({ rate, latencyMs: 50, deadline: 9_049 });
  assert.equal(late.admission.admits(chunkOf(1_000)), false);
  assert.equal(late.admission.refusal?.code, 'DEADLINE');
  assert.match(
    late.admission.refusal!.message,
    /^finishBy 01:00 \(2026-01-01T00:00:09\.049Z\) is too near .* would take 9\.1 s, and 9\.0 s are left/,
  );
});

test('what is under way comes first, and after one that is refused none is admitted', () => {
  const { admission, contracts, figures } = night({ rate: { requests: 100, per: 1_000 }, deadline: 1_500 });
  assert.equal(admission.admits(chunkOf(100)), true);
  contracts.pending = 100;
  assert.equal(admission.admits(chunkOf(100)), true);
  figures.requests = 100;
  assert.equal(admission.admits(chunkOf(101)), false);
  contracts.pending = 0;
  assert.equal(admission.admits(chunkOf(1)), false, 'a smaller one does not overtake');
});

test('batches and lookups that are known to be the same are counted as the requests they are', () => {
  const rate = { requests: 10, per: 1_000 };
  assert.equal(night({ rate, deadline: 0, batch: 50 }).admission.admits(chunkOf(500)), true);
  assert.equal(night({ rate, deadline: 999, batch: 50 }).admission.admits(chunkOf(501)), false);
  const same = night({ rate, deadline: 0, path: '/customers/{listed.customer}' });
  assert.equal(same.admission.admits(chunkOf(500, { customer: 'one' })), true);
});

test('what turned out to be asked less often than expected lets more begin, repeats let less', () => {
  for (const { requests, retries, most } of [
    { requests: 25, retries: 0, most: 400 },
    { requests: 100, retries: 0, most: 100 },
    { requests: 200, retries: 100, most: 50 },
  ])
    for (const contracts of [most, most + 1]) {
      const { admission, figures } = night({ rate: { requests: 50, per: 1_000 }, deadline: 1_000 });
      admission.admits(chunkOf(100));
      Object.assign(figures, { requests, retries });
      assert.equal(admission.admits(chunkOf(contracts)), contracts === most, `${contracts} after ${requests} of 100`);
    }
});

test('a night that takes longer than its limits would allow is forecast to go on so, but for one outage', async () => {
  const { admission, clock } = night({ rate: { requests: 100, per: 1_000 }, latencyMs: 100, deadline: 60_000 });
  const begun = async (takes: number): Promise<void> => {
    const chunk = chunkOf(100);
    assert.equal(admission.admits(chunk), true);
    await clock.advance(takes);
    admission.loaded(chunk);
  };
  const takes = (): number => admission.forecast(chunkOf(100)) - clock.now();
  assert.equal(takes(), 100);
  await begun(100);
  await begun(20_000);
  assert.equal(takes(), 100, 'once is no rule');
  await begun(300);
  assert.equal(takes(), 300);
});

test('loading counts too: what waits for Postgres, and the chunk itself', () => {
  const { admission, tally } = night({ deadline: 100 });
  Object.assign(tally, { loads: 3, loadMs: 303 });
  assert.equal(admission.admits(chunkOf(1)), false);
});

test('of commit: run a chunk begins when the switch of all rows can end by the deadline, and not one millisecond later', () => {
  const rate = { requests: 100, per: 1_000 };
  // Nine windows for the requests, then 500 rows held back before and 1,000 of this chunk at 2 ms each.
  const switchOver = { heldBack: 500, msPerRow: 2 };
  assert.equal(night({ rate, deadline: 12_000, switchOver }).admission.admits(chunkOf(1_000)), true);
  const late = night({ rate, deadline: 11_999, switchOver }).admission;
  assert.equal(late.admits(chunkOf(1_000)), false);
  assert.match(
    late.refusal!.message,
    /too near for another chunk: with the work in progress and the switch of 1500 rows at the end it would take 12\.0 s/,
  );
});

test('before any night has switched, the pace at which this run loads its chunks is taken for it', () => {
  for (const [deadline, admitted] of [
    [500, true],
    [499, false],
  ] as const) {
    const switchOver = { heldBack: 0, msPerRow: undefined };
    const { admission, tally } = night({ deadline, switchOver });
    assert.equal(admission.admits(chunkOf(100)), true, 'nothing is known yet');
    Object.assign(tally, { loads: 2, loadMs: 200 });
    // A chunk of 100 takes 100 ms into the ledger, and 400 rows are to switch.
    assert.equal(admission.switchMs, 100);
    assert.equal(admission.admits(chunkOf(300)), admitted);
  }
});

test('requests end before the switch would be late, the earlier the more rows there are', () => {
  const switchOver = { heldBack: 500, msPerRow: 2 };
  const { admission } = night({ deadline: 60_000, switchOver });
  const bounds = admission.boundsUntil(50_000, new AbortController().signal);
  assert.equal(bounds.deadline, 49_000);
  assert.equal(admission.admits(chunkOf(1_000)), true);
  assert.equal({ ...bounds }.deadline, 47_000);
});

test('without a deadline everything begins', () => {
  const { admission } = night({ rate: { requests: 1, per: 1_000 }, deadline: Infinity });
  assert.equal(admission.admits(chunkOf(10_000)), true);
});

/** When the last of `requests` can be answered at the earliest, if those before went out at `sent`: one after another. */
function legalEnd(
  requests: number,
  {
    sent,
    rate,
    concurrency,
    latencyMs,
  }: Required<Pick<Night, 'rate' | 'concurrency' | 'latencyMs'>> & { sent: number[] },
): number {
  const now = sent.at(-1) ?? 0;
  const all = [...sent];
  const ends: number[] = [];
  for (let index = 0; index < requests; index += 1) {
    const slot = ends.length < concurrency ? now : ends[ends.length - concurrency]!;
    const oldest = all.length < rate.requests ? now : all[all.length - rate.requests]! + rate.per;
    const at = Math.max(now, slot, oldest);
    all.push(at);
    ends.push(at + latencyMs);
  }
  return ends.at(-1) ?? now;
}

test('nothing is admitted whose earliest legal end is after the deadline, and with room for windows and slots in turn all is', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        limit: fc.integer({ min: 1, max: 40 }),
        per: fc.integer({ min: 1, max: 5_000 }),
        concurrency: fc.integer({ min: 1, max: 30 }),
        latencyMs: fc.integer({ min: 0, max: 800 }),
        before: fc.array(fc.integer({ min: 0, max: 3_000 }), { maxLength: 30 }),
        requests: fc.integer({ min: 1, max: 120 }),
        deadline: fc.integer({ min: 0, max: 60_000 }),
      }),
      async ({ limit, per, concurrency, latencyMs, before, requests, deadline }) => {
        const rate = { requests: limit, per };
        const { admission, clock, window } = night({ rate, concurrency, latencyMs, deadline });
        const sent: number[] = [];
        for (const pause of before) {
          await clock.advance(pause);
          const permit = await clock.finish(window!.acquire());
          permit.sent();
          permit.answered();
          sent.push(clock.now());
        }
        const admitted = admission.admits(chunkOf(requests));
        // Rates and slots hold each other up, so that both in turn may take longer than either alone.
        const legal = legalEnd(requests, { sent, rate, concurrency, latencyMs });
        const byRate = legalEnd(requests, { sent, rate, concurrency: Infinity, latencyMs });
        const bySlots = clock.now() + Math.ceil(requests / concurrency) * latencyMs;
        if (Math.max(byRate, bySlots) > deadline) assert.equal(admitted, false, 'too late');
        if (legal <= deadline) assert.equal(admitted, true, 'it fits');
      },
    ),
    { numRuns: repeats(100, 5_000) },
  );
});
