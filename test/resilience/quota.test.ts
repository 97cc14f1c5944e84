import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { UsageError } from '../../src/resilience/failure.ts';
import { dayIn, Quota, type QuotaUse } from '../../src/resilience/quota.ts';
import { FakeClock } from '../support/fake-clock.ts';

const hour = 3_600_000;
const midnight = Date.UTC(2026, 0, 1);
const utc = dayIn('UTC');

/** Where several processes add up what they have sent. */
class Shelf {
  readonly uses = new Map<string, QuotaUse>();

  readonly exchange = async (use: QuotaUse): Promise<QuotaUse> => {
    const known = this.uses.get(use.period);
    const sum = {
      period: use.period,
      requests: (known?.requests ?? 0) + use.requests,
      left: least(known?.left, use.left),
      of: most(known?.of, use.of),
    };
    this.uses.set(use.period, sum);
    return Promise.resolve(sum);
  };
}

const given = (...values: (number | undefined)[]): number[] => values.filter((value) => value !== undefined);
const least = (...values: (number | undefined)[]) =>
  given(...values).length ? Math.min(...given(...values)) : undefined;
const most = (...values: (number | undefined)[]) =>
  given(...values).length ? Math.max(...given(...values)) : undefined;

test('what is sent is counted, and the reserve is never spendable', () => {
  const quota = new Quota({ requests: 1000, reserve: 0.2, periodAt: utc, clock: new FakeClock({ wall: midnight }) });
  for (let sent = 0; sent < 700; sent += 1) quota.spend();
  assert.deepEqual(quota.figures, {
    period: '2026-01-01',
    of: 1000,
    used: 700,
    reserved: 200,
    spendable: 100,
    renewsAt: midnight + 24 * hour,
  });
  quota.spend(150);
  assert.equal(quota.figures?.spendable, 0);
  quota.spend(1000);
  assert.deepEqual([quota.figures?.used, quota.figures?.spendable], [1000, 0]);
});

test('a share of the quota is rounded up, and binary fractions add nothing', () => {
  const reserved = (requests: number, reserve: number) =>
    new Quota({ requests, reserve, periodAt: utc }).figures?.reserved;
  assert.deepEqual([reserved(100, 0.07), reserved(101, 0.5), reserved(10, 0)], [7, 51, 0]);
});

test('a new day resets the count', async () => {
  const clock = new FakeClock({ wall: midnight });
  const quota = new Quota({ requests: 10, reserve: 0, periodAt: utc, clock });
  quota.spend(10);
  await clock.advance(24 * hour - 1);
  assert.equal(quota.figures?.spendable, 0);
  await clock.advance(1);
  assert.deepEqual([quota.figures?.spendable, quota.figures?.period], [10, '2026-01-02']);
});

test('without a configured number the quota is known from the server alone', () => {
  const clock = new FakeClock({ wall: midnight });
  const quota = new Quota({ reserve: 0.2, periodAt: utc, clock });
  quota.spend(50);
  assert.equal(quota.figures === undefined, true);
  quota.heed({ left: 4982, of: 5000 });
  assert.deepEqual([quota.figures?.of, quota.figures?.used, quota.figures?.spendable], [5000, 18, 3982]);
  quota.heed({ left: 1500, of: 5000 });
  quota.heed({ left: 1501, of: 5000 });
  assert.equal(quota.figures?.spendable, 500, 'an answer that was overtaken raises nothing');
});

test('without an announced total the largest remainder serves as the total', () => {
  const quota = new Quota({ reserve: 0.1, periodAt: utc, clock: new FakeClock({ wall: midnight }) });
  quota.heed({ left: 900 });
  quota.heed({ left: 300 });
  assert.deepEqual([quota.figures?.of, quota.figures?.reserved, quota.figures?.spendable], [900, 90, 210]);
});

test('if both are known the smaller remainder counts, because other users may not be counted in one of them', () => {
  const quota = new Quota({ requests: 100, reserve: 0.1, periodAt: utc, clock: new FakeClock({ wall: midnight }) });
  quota.heed({ left: 40 });
  assert.deepEqual([quota.figures?.used, quota.figures?.spendable], [60, 30]);
  quota.spend(80);
  assert.deepEqual([quota.figures?.used, quota.figures?.spendable], [80, 10]);
});

test('what is shared by several, and by those who come later, is one count', async () => {
  const clock = new FakeClock({ wall: midnight });
  const shelf = new Shelf();
  const open = () => new Quota({ requests: 100, reserve: 0, periodAt: utc, clock });
  const [one, other] = [open(), open()];
  one.spend(30);
  other.spend(20);
  for (const quota of [one, other, one]) await quota.share(shelf.exchange);
  assert.deepEqual([one.figures?.used, other.figures?.used], [50, 50]);
  other.heed({ left: 25, of: 100 });
  await other.share(shelf.exchange);
  const later = open();
  await later.share(shelf.exchange);
  assert.deepEqual([later.figures?.used, later.figures?.spendable], [75, 25]);
  assert.equal(shelf.uses.get('2026-01-01')?.requests, 50);
});

test('use that could not be shared is shared the next time, and requests sent meanwhile count exactly once', async () => {
  const clock = new FakeClock({ wall: midnight });
  const shelf = new Shelf();
  const quota = new Quota({ requests: 100, reserve: 0, periodAt: utc, clock });
  quota.spend(3);
  await assert.rejects(
    quota.share(async () => Promise.reject(new Error('no database'))),
    { message: 'no database' },
  );
  assert.equal(quota.figures?.used, 3);
  await quota.share(async (use) => {
    quota.spend(4);
    assert.equal(quota.figures?.used, 7);
    return shelf.exchange(use);
  });
  assert.equal(quota.figures?.used, 7);
  await quota.share(shelf.exchange);
  assert.deepEqual([quota.figures?.used, shelf.uses.get('2026-01-01')?.requests], [7, 7]);
});

test('what was sent before midnight is shared as of the day it was sent', async () => {
  const clock = new FakeClock({ wall: midnight });
  const shelf = new Shelf();
  const quota = new Quota({ requests: 100, reserve: 0, periodAt: utc, clock });
  quota.spend(4);
  await quota.share(async (use) => {
    if (use.period === '2026-01-01') {
      quota.spend(1);
      await clock.advance(24 * hour);
      quota.spend(2);
    }
    return shelf.exchange(use);
  });
  await quota.share(shelf.exchange);
  assert.deepEqual(
    [...shelf.uses.values()].map(({ period, requests }) => [period, requests]),
    [
      ['2026-01-01', 5],
      ['2026-01-02', 2],
    ],
  );
  assert.equal(quota.figures?.used, 2);
});

test('however sending, sharing, failing and nights interleave, all that was sent is counted once', async () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ does: fc.constant('spend' as const), who: fc.nat(2), requests: fc.nat(20) }) },
    { weight: 3, arbitrary: fc.record({ does: fc.constant('share' as const), who: fc.nat(2), fails: fc.boolean() }) },
    {
      weight: 1,
      arbitrary: fc.record({ does: fc.constant('sleep' as const), hours: fc.integer({ min: 1, max: 30 }) }),
    },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const clock = new FakeClock({ wall: midnight });
      const shelf = new Shelf();
      const quotas = [0, 1, 2].map(() => new Quota({ requests: 1e6, reserve: 0, periodAt: utc, clock }));
      const sent = new Map<string, number>();
      for (const one of steps) {
        if (one.does === 'sleep') await clock.advance(one.hours * hour);
        else if (one.does === 'spend') {
          quotas[one.who]!.spend(one.requests);
          const { name } = utc(clock.wallNow());
          sent.set(name, (sent.get(name) ?? 0) + one.requests);
        } else if (one.fails) {
          await quotas[one.who]!.share(async () => Promise.reject(new Error())).catch(() => undefined);
        } else await quotas[one.who]!.share(shelf.exchange);
      }
      for (const quota of [...quotas, ...quotas]) await quota.share(shelf.exchange);
      for (const [period, requests] of sent) assert.equal(shelf.uses.get(period)?.requests ?? 0, requests);
      for (const quota of quotas) assert.equal(quota.figures?.used, sent.get(utc(clock.wallNow()).name) ?? 0);
    }),
  );
});

test('a day ends at its own midnight, also when the clocks change and where midnight does not exist', () => {
  const day = (timezone: string, iso: string) => {
    const { name, endsAt } = dayIn(timezone)(Date.parse(iso));
    return [name, new Date(endsAt).toISOString()];
  };
  assert.deepEqual(day('Europe/Berlin', '2026-03-29T00:30:00Z'), ['2026-03-29', '2026-03-29T22:00:00.000Z']);
  assert.deepEqual(day('Europe/Berlin', '2026-10-24T22:00:00Z'), ['2026-10-25', '2026-10-25T23:00:00.000Z']);
  assert.deepEqual(day('America/Los_Angeles', '2026-06-01T06:59:59.999Z'), ['2026-05-31', '2026-06-01T07:00:00.000Z']);
  // Beirut's clocks go from 00:00 to 01:00.
  assert.deepEqual(day('Asia/Beirut', '2026-03-28T12:00:00Z'), ['2026-03-28', '2026-03-28T22:00:00.000Z']);
});

test('a quota of zero is an error', () => {
  assert.throws(() => new Quota({ requests: 0, reserve: 0, periodAt: utc }), UsageError);
  assert.throws(() => new Quota({ requests: 5, reserve: -0.1, periodAt: utc }), UsageError);
});
