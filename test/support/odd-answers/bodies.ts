import { brotliCompressSync, deflateRawSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { again, answerBytes, drips, fails, type OddAnswer, once, replies200, sends, taken } from './odd-answer.ts';

const bomb = gzipSync(Buffer.alloc(40 * 2 ** 20, ' '));
const deep = '['.repeat(100_000) + ']'.repeat(100_000);
const encoded = (encoding: string): Record<string, string> => ({ 'content-encoding': encoding });

/** The first amount that stands in the answer. */
const withAmount =
  (amount: string) =>
  (good: string): string =>
    good.replace(/"amount":[\d.]+/, () => `"amount":${amount}`);

/** A token's answer has nothing of the kind to spoil. */
const token = 'enriched';

export const oddBodies: readonly OddAnswer[] = [
  { answer: 'nothing', send: replies200(() => ''), contract: fails('RESPONSE_EMPTY', again) },
  { answer: 'blanks', send: replies200(() => ' \r\n\t '), contract: fails('RESPONSE_EMPTY', again) },
  {
    answer: 'half of the JSON',
    send: replies200((good) => good.slice(0, good.length / 2)),
    contract: fails('RESPONSE_MALFORMED', again),
  },
  {
    answer: 'two JSON values, one after the other',
    send: replies200((good) => `${good}\n${good}`),
    contract: fails('RESPONSE_MALFORMED', again),
  },
  {
    answer: 'a login page with status 200',
    send: replies200(() => '<!doctype html><form>Please log in</form>', { 'content-type': 'text/html' }),
    contract: fails('RESPONSE_NOT_JSON', again),
  },
  {
    answer: 'HTML that calls itself JSON',
    send: replies200(() => '<html>Back soon</html>'),
    contract: fails('RESPONSE_NOT_JSON', again),
  },
  {
    answer: 'a text in place of JSON',
    send: replies200(() => 'upstream connect error', { 'content-type': 'text/plain' }),
    contract: fails('RESPONSE_MALFORMED', again),
  },
  { answer: 'a byte order mark before the JSON', send: replies200((good) => `\ufeff${good}`), contract: taken },
  {
    answer: 'JSON in UTF-16',
    send: replies200((good) => Buffer.from(`\ufeff${good}`, 'utf16le')),
    contract: fails('RESPONSE_MALFORMED', again),
  },
  {
    answer: 'bytes that are not UTF-8',
    send: replies200((good) => Buffer.concat([Buffer.from(good.slice(0, -1)), Buffer.from(',"x":"\xe4"}', 'latin1')])),
    contract: fails('RESPONSE_MALFORMED', again),
    token: 'enriched',
  },
  {
    answer: 'a NUL after the JSON',
    send: replies200((good) => `${good}\0`),
    contract: fails('RESPONSE_MALFORMED', again),
  },
  {
    answer: '`\\u0000` in a text',
    send: replies200((good) => good.replace('"name":"', '"name":"\\u0000')),
    contract: fails('VALUE_HAS_NUL', once),
    listing: 'record VALUE_HAS_NUL',
    token,
  },
  {
    answer: 'a lone surrogate in a text',
    send: replies200((good) => good.replace('"name":"', '"name":"\\ud800')),
    contract: fails('VALUE_NOT_UNICODE', once),
    listing: 'record VALUE_NOT_UNICODE',
    token,
  },
  {
    answer: 'arrays in arrays, 100,000 deep',
    send: replies200(() => deep),
    contract: fails('RESPONSE_TOO_DEEP', once),
    listing: 'LISTING_SHAPE',
  },
  {
    answer: 'the number 1e400',
    send: replies200(withAmount('1e400')),
    contract: fails('VALUE_OUT_OF_RANGE', once),
    listing: 'record VALUE_OUT_OF_RANGE',
    token,
  },
  {
    answer: 'a number of 400 digits',
    send: replies200(withAmount('9'.repeat(400))),
    contract: fails('VALUE_OUT_OF_RANGE', once),
    listing: 'record VALUE_OUT_OF_RANGE',
    token,
  },
  {
    answer: 'the number 1e-400',
    send: replies200(withAmount('1e-400')),
    contract: fails('VALUE_LOSES_DIGITS', once),
    listing: 'record VALUE_LOSES_DIGITS',
    token,
  },
  {
    answer: 'the number 1e999999999',
    send: replies200(withAmount('1e999999999')),
    contract: fails('VALUE_OUT_OF_RANGE', once),
    listing: 'record LISTED_RECORD_UNUSABLE',
    token,
  },
  {
    answer: 'NaN in the JSON',
    send: replies200(withAmount('NaN')),
    contract: fails('RESPONSE_MALFORMED', again),
    token,
  },
  {
    answer: 'an array in place of the record',
    send: replies200((good) => `[${good}]`),
    contract: fails('VALUE_ABSENT', once),
    listing: 'LISTING_SHAPE',
  },
  ...(['"a text"', '42', 'null', 'true', '[]', '{}'] as const).map((json): OddAnswer => ({
    answer: `\`${json}\``,
    send: replies200(() => json),
    contract: fails('VALUE_ABSENT', once),
    listing: 'LISTING_SHAPE',
  })),
  {
    answer: 'an error with status 200',
    send: replies200(() => '{"error":"internal","status":500}'),
    contract: fails('VALUE_ABSENT', once),
    listing: 'LISTING_SHAPE',
    token: 'refused',
  },
  {
    answer: '`{"__proto__": …}` around the record',
    send: replies200((good) => `{"__proto__":${good}}`),
    contract: fails('VALUE_ABSENT', once),
    listing: 'LISTING_SHAPE',
  },
  {
    answer: 'a key twice',
    send: replies200((good) => good.replace('{', '{"id":"other","data":[],"access_token":"other",')),
    contract: taken,
  },
  {
    answer: 'gzip',
    send: replies200((good) => gzipSync(good), encoded('gzip')),
    contract: taken,
  },
  {
    answer: 'gzip, twice',
    send: replies200((good) => gzipSync(gzipSync(good)), encoded('gzip, gzip')),
    contract: taken,
  },
  {
    answer: 'gzip that ends early',
    send: replies200((good) => gzipSync(good).subarray(0, -12), encoded('gzip')),
    contract: fails('RESPONSE_TRUNCATED', again),
  },
  {
    answer: 'gzip with bytes behind it',
    send: replies200((good) => Buffer.concat([gzipSync(good), Buffer.from('behind')]), encoded('gzip')),
    contract: fails('RESPONSE_MALFORMED', again),
    token: 'busy',
  },
  {
    answer: 'what calls itself gzip and is plain',
    send: replies200((good) => good, encoded('gzip')),
    contract: fails('RESPONSE_MALFORMED', again),
    token: 'busy',
  },
  {
    answer: 'gzip without saying so',
    send: replies200((good) => gzipSync(good)),
    contract: fails('RESPONSE_MALFORMED', again),
  },
  {
    answer: '40 MB packed into 40 KB',
    send: replies200(() => bomb, encoded('gzip')),
    contract: fails('RESPONSE_TOO_LARGE', once),
  },
  {
    answer: '`deflate` without its frame',
    send: replies200((good) => deflateRawSync(good), encoded('deflate')),
    contract: taken,
  },
  {
    answer: '`br` that ends early',
    send: replies200((good) => brotliCompressSync(good).subarray(0, -4), encoded('br')),
    contract: fails('RESPONSE_TRUNCATED', again),
  },
  {
    answer: '`zstd`, which nobody asked for',
    send: replies200((good) => zstdCompressSync(good), encoded('zstd')),
    contract: fails('RESPONSE_ENCODING_UNKNOWN', once),
  },
  {
    answer: 'an encoding that does not exist',
    send: replies200((good) => good, encoded('rot13')),
    contract: fails('RESPONSE_ENCODING_UNKNOWN', once),
  },
  {
    answer: 'a length too long, then silence',
    send: sends((good) => answerBytes(200, { headers: { 'content-length': String(good.length + 100) }, body: good })),
    contract: fails('TIMEOUT', again),
    slow: true,
  },
  {
    answer: 'a length too long, then the end',
    send: sends(
      (good) => answerBytes(200, { headers: { 'content-length': String(good.length + 100) }, body: good }),
      'close',
    ),
    contract: fails('RESPONSE_TRUNCATED', again),
  },
  {
    answer: 'a length too short',
    send: sends((good) => answerBytes(200, { headers: { 'content-length': '10' }, body: good })),
    contract: fails('RESPONSE_MALFORMED', again),
  },
  {
    answer: 'a body that never ends',
    send: drips(function* () {
      yield answerBytes(200, { headers: { 'transfer-encoding': 'chunked' } });
      for (;;) yield `100000\r\n${' '.repeat(2 ** 20)}\r\n`;
    }, 1),
    contract: fails('RESPONSE_TOO_LARGE', once),
  },
  ...(
    [
      ['with a size that is no number', 'zz\r\n{}\r\n0\r\n\r\n', 'RESPONSE_TRUNCATED'],
      ['with a negative size', '-5\r\n{}\r\n0\r\n\r\n', 'RESPONSE_TRUNCATED'],
      ['with a size beyond 64 bits', 'fffffffffffffffff\r\n{}\r\n0\r\n\r\n', 'RESPONSE_TRUNCATED'],
      ['longer than its size', '1\r\n{}\r\n0\r\n\r\n', 'RESPONSE_TRUNCATED'],
    ] as const
  ).map(([what, body, code]): OddAnswer => ({
    answer: `a chunk ${what}`,
    send: sends(() => answerBytes(200, { headers: { 'transfer-encoding': 'chunked' }, body })),
    contract: fails(code, again),
  })),
  {
    answer: 'chunks without the last one, then the end',
    send: sends(
      (good) =>
        answerBytes(200, {
          headers: { 'transfer-encoding': 'chunked' },
          body: `${good.length.toString(16)}\r\n${good}\r\n`,
        }),
      'close',
    ),
    contract: fails('RESPONSE_TRUNCATED', again),
  },
  {
    answer: 'chunks and a trailer',
    send: sends((good) =>
      answerBytes(200, {
        headers: { 'transfer-encoding': 'chunked', trailer: 'x-sum' },
        body: `${good.length.toString(16)};x=1\r\n${good}\r\n0\r\nx-sum: 1\r\n\r\n`,
      }),
    ),
    contract: taken,
  },
  {
    answer: 'chunks and a `Content-Length` as their trailer',
    send: sends((good) =>
      answerBytes(200, {
        headers: { 'transfer-encoding': 'chunked' },
        body: `${good.length.toString(16)}\r\n${good}\r\n0\r\ncontent-length: 5\r\n\r\n`,
      }),
    ),
    contract: fails('RESPONSE_TRUNCATED', again),
  },
];
