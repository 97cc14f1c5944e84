import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { nonsenseRetryAfter, retryAfter } from '../../src/resilience/retry-after.ts';

const wallNow = Date.UTC(2026, 0, 31, 2, 0, 0);
const wait = (headers: Record<string, string>, resets = true) => retryAfter(headers, { wallNow, resets });
const date = (ms: number) => new Date(ms).toUTCString();

test('Retry-After is read as seconds', () => {
  assert.equal(wait({ 'retry-after': '3' }), 3000);
  assert.equal(wait({ 'retry-after': ' 0 ' }), 0);
  assert.equal(wait({ 'retry-after': '1.5' }), 1500);
  assert.equal(wait({ 'retry-after': '86400' }), 86_400_000);
});

test("Retry-After as a date is read against the answer's own Date, so a wrong clock here does not matter", () => {
  const server = wallNow + 3_600_000;
  assert.equal(wait({ 'retry-after': date(server + 20_000), date: date(server) }), 20_000);
  assert.equal(wait({ 'retry-after': date(wallNow + 20_000) }), 20_000);
  assert.equal(wait({ 'retry-after': 'Saturday, 31-Jan-26 02:00:20 GMT', date: date(wallNow) }), 20_000);
  assert.equal(wait({ 'retry-after': date(server - 20_000), date: date(server) }), 0);
});

test('a reset is read as seconds from now, epoch seconds or epoch milliseconds', () => {
  for (const value of ['30', String(wallNow / 1000 + 30), String(wallNow + 30_000)]) {
    for (const name of ['ratelimit-reset', 'x-ratelimit-reset']) assert.equal(wait({ [name]: value }), 30_000);
  }
  assert.equal(wait({ ratelimit: '"default";r=0;t=30' }), 30_000);
  assert.equal(wait({ ratelimit: 'limit=100, remaining=0, reset=30' }), 30_000);
  assert.equal(wait({ 'x-ratelimit-reset': String(wallNow / 1000 - 5) }), 0);
});

test('Retry-After wins over a reset, and resets count only where a limit is the matter', () => {
  assert.equal(wait({ 'retry-after': '2', 'ratelimit-reset': '30' }), 2000);
  assert.equal(wait({ 'ratelimit-reset': '30' }, false), undefined);
  assert.equal(wait({ 'retry-after': '2' }, false), 2000);
});

test('what makes no sense is no wait', () => {
  for (const value of ['', 'soon', '-5', '1e9', 'NaN', '2026']) {
    const asked = wait({ 'retry-after': value });
    assert.equal(asked, value === '2026' ? 2_026_000 : undefined, value);
  }
  assert.equal(wait({ 'x-ratelimit-reset': '999999' }), undefined, 'eleven days');
  assert.equal(wait({ 'x-ratelimit-reset': '1000000001' }), undefined, 'an epoch of 2001');
  assert.equal(wait({}), undefined);
});

test('no header makes a wait that is negative or no number', () => {
  const name = fc.constantFrom('retry-after', 'ratelimit-reset', 'x-ratelimit-reset', 'ratelimit', 'date');
  fc.assert(
    fc.property(
      fc.dictionary(name, fc.oneof(fc.string(), fc.double().map(String), fc.date({ noInvalidDate: true }).map(String))),
      (headers) => {
        const asked = wait(headers);
        assert.ok(asked === undefined || asked >= 0);
      },
    ),
  );
});

test("a fetch answer's headers are read too, and a reset only where it is asked for", () => {
  const headers = Object.fromEntries(new Headers({ 'Retry-After': '3', 'RateLimit-Reset': '60' }));
  assert.equal(retryAfter(headers), 3000);
  const healthy = Object.fromEntries(new Headers({ 'RateLimit-Reset': '60' }));
  assert.equal(retryAfter(healthy), undefined);
  assert.equal(retryAfter(healthy, { resets: true }), 60_000);
});

test('a time beyond 24 hours is nonsense: it says nothing, and is told', () => {
  for (const text of ['1763740800000', '9223372036854775807', '86401', 'Fri, 31 Dec 9999 23:59:59 GMT', 'soon', '-5']) {
    assert.equal(retryAfter({ 'retry-after': text }, { wallNow }), undefined, text);
    assert.equal(nonsenseRetryAfter({ 'retry-after': text }, { wallNow }), text);
  }
  for (const text of ['86400', '0', 'Thu, 01 Jan 1970 00:00:00 GMT']) {
    assert.ok(retryAfter({ 'retry-after': text }, { wallNow }) !== undefined, text);
    assert.equal(nonsenseRetryAfter({ 'retry-after': text }, { wallNow }), undefined);
  }
  const limit = { 'retry-after': '1763740800000', 'x-ratelimit-reset': '7' };
  assert.equal(retryAfter(limit, { wallNow, resets: true }), 7_000, 'another header may make sense');
});
