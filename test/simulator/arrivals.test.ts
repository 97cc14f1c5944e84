import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Arrivals } from '../../src/simulator/arrivals.ts';

/** The definition, written out: half-open intervals of `per` that end with an arrival. */
function judge(moments: readonly number[], requests: number, per: number) {
  const accepted: number[] = [];
  const inWindow = (among: readonly number[], now: number) => among.filter((moment) => moment > now - per).length;
  const refused = moments.map((now) => {
    if (inWindow(accepted, now) >= requests) return true;
    accepted.push(now);
    return false;
  });
  const windows = moments.map((now, index) => inWindow(moments.slice(0, index + 1), now));
  return { refused, peak: Math.max(0, ...windows), violations: windows.filter((count) => count > requests).length };
}

test('refusals, peak and violations are those of the definition, whatever the arrivals', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 700, size: 'max' }),
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 5000 }),
      (gaps, requests, per) => {
        let now = 0;
        const moments = gaps.map((gap) => (now += gap));
        const arrivals = new Arrivals({ requests, per });
        const refused = moments.map((moment) => arrivals.arrive(moment) > 0);
        const { peak, violations } = arrivals;
        assert.deepEqual({ refused, peak, violations }, judge(moments, requests, per));
      },
    ),
  );
});

test('a rush after a quiet time, which makes the memory of moments grow when it has gone round, loses none of them', () => {
  const quiet = Array.from({ length: 100 }, (_, index) => index * 50);
  const rush = Array.from({ length: 1500 }, (_, index) => 5000 + index);
  const arrivals = new Arrivals({ requests: 350, per: 400 });
  const refused = [...quiet, ...rush].map((moment) => arrivals.arrive(moment) > 0);
  const { peak, violations } = arrivals;
  assert.deepEqual({ refused, peak, violations }, judge([...quiet, ...rush], 350, 400));
});

test('a caller that waits as long as it is told is accepted, and a moment earlier it is not', () => {
  const rate = { requests: 2, per: 1000 };
  const arrivals = new Arrivals(rate);
  assert.equal(arrivals.arrive(0), 0);
  assert.equal(arrivals.arrive(400), 0);
  assert.equal(arrivals.arrive(900), 100);
  assert.ok(arrivals.arrive(999.9) > 0);
  assert.equal(arrivals.arrive(1000), 0);
});

test('without a limit nothing is refused or violated, and the peak is still known', () => {
  const arrivals = new Arrivals(undefined);
  for (let index = 0; index < 3000; index += 1) assert.equal(arrivals.arrive(index), 0);
  assert.deepEqual([arrivals.peak, arrivals.violations, arrivals.refused], [1000, 0, 0]);
});
