import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { announcedLimits } from '../../../src/resilience/announced-limits.ts';
import { retryAfter } from '../../../src/resilience/retry-after.ts';
import { decodeBody } from '../../../src/sources/http/decode-body.ts';
import { excerpt } from '../../../src/sources/http/excerpt.ts';
import { linkTarget } from '../../../src/sources/listing/link-header.ts';
import { assertPlainPath, originOf } from '../../../src/sources/http/origin.ts';
import { quotaLeft } from '../../../src/sources/api/quota-header.ts';

/** Whatever reads text that a server gave, on every answer or on every page. */
const readers: Record<string, (text: string) => unknown> = {
  'RateLimit-Policy': (text) => announcedLimits({ 'ratelimit-policy': text }),
  RateLimit: (text) => announcedLimits({ ratelimit: text }),
  'X-RateLimit-Limit': (text) => announcedLimits({ 'x-ratelimit-limit': text, 'x-ratelimit-remaining': '0' }),
  'X-RateLimit-Reset': (text) => announcedLimits({ 'x-ratelimit-limit': '5', 'x-ratelimit-reset': text }),
  Date: (text) => announcedLimits({ ratelimit: 'limit=5, reset=5', date: `Jan${text}` }),
  'Retry-After': (text) => retryAfter({ 'retry-after': `1${text}` }),
  'Retry-After as a date': (text) => retryAfter({ 'retry-after': `Jan${text}` }),
  'RateLimit of a 429': (text) => retryAfter({ ratelimit: text }, { resets: true }),
  Link: (text) => linkTarget(text, 'next'),
  'Link parameters': (text) => linkTarget(`<a>${text}`, 'next'),
  'Link relations': (text) => linkTarget(`<a>; rel="${text}`, 'next'),
  'a quota': (text) => quotaLeft({ quota: text }, 'quota'),
  'a next address': (text) => originOf(`http://${text}`, 'http://a'),
  'a path': (text) => {
    // What it refuses, it refuses after having read it.
    try {
      assertPlainPath(text);
    } catch {}
  },
  'a body for a message': excerpt,
};

/** What patterns with two ways to read the same go wrong on. */
const units = [
  '"\\',
  '\\"',
  '"',
  '\\',
  ',',
  ';',
  '=',
  ' ',
  '<',
  '>',
  '.',
  '/',
  '1',
  'a',
  '<>',
  ', ',
  ';a',
  ';a=',
  'a="',
  '",',
  '1/',
  '%2e',
];

/** Four times what a server can send in its headers: reading it twice over from each place takes seconds. */
const bytes = 65_536;

for (const [what, read] of Object.entries(readers)) {
  test(`${what} of any text takes time in proportion to its length`, () => {
    const begun = process.cpuUsage();
    for (const unit of units) read(unit.repeat(bytes / unit.length));
    const { user, system } = process.cpuUsage(begun);
    assert((user + system) / 1_000 < 1_000, `${(user + system) / 1_000} ms of CPU`);
  });
}

test('of too many announced limits only the first are read', () => {
  const policy = Array.from({ length: 1_000 }, (_, index) => `${5_000 - index};w=1`).join(', ');
  assert.equal(announcedLimits({ 'ratelimit-policy': policy })?.limits.length, 20);
  const quoted = announcedLimits({ 'ratelimit-policy': '"a,;\\"b";q=5;w=10, "open;q=7;w=1' });
  assert.deepEqual(quoted?.limits, [{ requests: 5, per: 10_000 }]);
});

test('a body is decompressed at most five times, whatever its header says', async () => {
  const packed = (times: number): Buffer =>
    Array.from({ length: times }).reduce<Buffer>((body) => gzipSync(body), Buffer.from('[]'));
  const decoded = async (times: number): Promise<Buffer> =>
    decodeBody(
      { status: 200, headers: { 'content-encoding': Array(times).fill('gzip').join(', ') }, body: packed(times) },
      1_000_000,
    );
  assert.equal(String(await decoded(5)), '[]');
  await assert.rejects(decoded(6), /has 6 content-encodings; at most 5 are supported/);
});
