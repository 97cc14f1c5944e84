import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { announcedLimits } from '../../src/resilience/announced-limits.ts';

const wallNow = Date.UTC(2026, 0, 31, 2, 0, 0);
const read = (headers: Record<string, string | string[]>) => announcedLimits(headers, { wallNow });
const epoch = (ms: number): string => String((wallNow + ms) / 1000);

/** What each dialect says of 3 requests left of 100, and of none, for 30 s. */
const dialects: Record<string, (remaining: number) => Record<string, string>> = {
  'draft -08 to -11': (remaining) => ({
    'ratelimit-policy': '"default";q=100;w=60',
    ratelimit: `"default";r=${remaining};t=30`,
  }),
  'draft -11, with partition key and unit': (remaining) => ({
    'ratelimit-policy': '"default";q=100;w=60;pk=:cHNlbGVjdG9y:;qu="requests"',
    ratelimit: `"default";r=${remaining};t=30;pk=:cHNlbGVjdG9y:`,
  }),
  'draft -07, one field': (remaining) => ({
    'ratelimit-policy': '100;w=60',
    ratelimit: `limit=100, remaining=${remaining}, reset=30`,
  }),
  'draft -06, three fields and the policy': (remaining) => ({
    'ratelimit-policy': '100;w=60',
    'ratelimit-limit': '100',
    'ratelimit-remaining': String(remaining),
    'ratelimit-reset': '30',
  }),
  'draft -03, three fields with the policy in the limit': (remaining) => ({
    'ratelimit-limit': '100, 100;w=60',
    'ratelimit-remaining': String(remaining),
    'ratelimit-reset': '30',
  }),
};
for (const name of ['x-ratelimit', 'x-rate-limit']) {
  for (const [unit, reset] of [
    ['seconds', '30'],
    ['epoch seconds', epoch(30_000)],
    ['epoch milliseconds', String(wallNow + 30_000)],
  ] as const) {
    dialects[`${name}, reset in ${unit}`] = (remaining) => ({
      [`${name}-limit`]: '100;w=60',
      [`${name}-remaining`]: String(remaining),
      [`${name}-reset`]: reset,
    });
  }
}

for (const [dialect, headers] of Object.entries(dialects)) {
  test(`the limit, its window and the wait when it is used up are read: ${dialect}`, () => {
    const some = read(headers(3));
    assert.equal(some?.wait, 0);
    assert.deepEqual(some.limits[0], { requests: 100, per: 60_000 });
    for (const { requests, per } of some.limits) assert.ok(requests === 100 && per <= 60_000);
    assert.equal(read(headers(0))?.wait, 30_000);
  });
}

test('a limit that comes without its window is one of a window that is at least as long as the time to its reset', () => {
  const headers = { 'x-ratelimit-limit': '50', 'x-ratelimit-remaining': '49', 'x-ratelimit-reset': '60' };
  // A second more: some servers round down.
  assert.deepEqual(read(headers), { limits: [{ requests: 50, per: 61_000 }], wait: 0 });
  assert.deepEqual(read({ 'x-ratelimit-limit': '50', 'x-ratelimit-remaining': '49' }), { limits: [], wait: 0 });
});

test('of several policies each counts, and the longest wait of those that are used up', () => {
  const found = read({
    'ratelimit-policy': '"burst, short";q=10;w=1, "day";q=5000;w=86400',
    ratelimit: ['"burst, short";r=0;t=1', '"day";r=0;t=7200', '"hour";r=5;t=9000, "minute";r=0;t=60'],
  });
  assert.deepEqual(found, {
    limits: [
      { requests: 10, per: 1000 },
      { requests: 5000, per: 86_400_000 },
    ],
    wait: 7_200_000,
  });
});

test('a policy that counts bytes or requests at once is no limit of requests per time', () => {
  const policy = '"bytes";q=100;w=60;qu="content-bytes", "busy";q=5;w=1;qu="concurrent-requests"';
  assert.deepEqual(read({ 'ratelimit-policy': policy }), { limits: [], wait: 0 });
});

test("a reset in epoch time is read against the answer's own Date", () => {
  const date = new Date(wallNow + 3_600_000).toUTCString();
  const headers = { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': epoch(3_620_000), date };
  assert.equal(read(headers)?.wait, 20_000);
});

test('answers that say nothing of limits cost no reading', () => {
  assert.equal(read({ 'content-type': 'application/json', 'retry-after': '3' }), undefined);
});

test('garbage is left out, and what is right beside it is read', () => {
  const nothing = { limits: [], wait: 0 };
  for (const headers of [
    { 'x-ratelimit-remaining': '0' },
    { 'x-ratelimit-remaining': '-1', 'x-ratelimit-reset': '30' },
    { 'x-ratelimit-remaining': 'none', 'x-ratelimit-reset': '30' },
    { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': 'tomorrow' },
    { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '99999999' },
    // What serves a request is no limit of 0, whatever an unlimited plan writes there.
    { 'x-ratelimit-limit': '0', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '3600' },
    { 'ratelimit-policy': '"a";q=-5;w=10, "b";q=1e3;w=1, "c";q=5;w=0, "d";q=5, "e', ratelimit: ';;;,,,"' },
    { 'ratelimit-policy': '0;w=60', ratelimit: 'limit=, remaining=0, reset=' },
  ]) {
    assert.deepEqual(read(headers as Record<string, string>), nothing, JSON.stringify(headers));
  }
  assert.deepEqual(read({ 'ratelimit-policy': '???, "good";q=7;w=2, ;;q=' })?.limits, [{ requests: 7, per: 2000 }]);
});

test('whatever stands in the headers, limits are whole and positive and waits are bounded', () => {
  const pieces = fc.array(
    fc.oneof(
      fc.constantFrom('"', ';', ',', '=', 'q', 'w', 'r', 't', '\\', 'limit', 'remaining', 'reset', '0', '5', ' '),
      fc.nat().map(String),
    ),
    { maxLength: 30 },
  );
  const value = pieces.map((parts) => parts.join(''));
  const names = ['ratelimit', 'ratelimit-policy', 'ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset', 'date'];
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom(...names), fc.oneof(value, fc.array(value, { maxLength: 3 }))),
      (headers) => {
        const found = read(headers);
        if (!found) return;
        assert.ok(found.wait >= 0 && found.wait <= 86_400_000);
        for (const { requests, per } of found.limits) {
          assert.ok(Number.isSafeInteger(requests) && requests >= 1);
          assert.ok(Number.isFinite(per) && per >= 1000);
        }
      },
    ),
  );
});
