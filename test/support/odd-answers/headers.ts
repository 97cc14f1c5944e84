import { again, answerBytes, fails, type OddAnswer, once, replies, replies200, sends, taken } from './odd-answer.ts';

const day = 86_400_000;
const httpDate = (fromNow: number): string => new Date(Date.now() + fromNow).toUTCString();

/** Times to wait that mean nothing, or nothing any more. */
const absurdTimes: [what: string, value: () => string][] = [
  ['epoch milliseconds', () => String(Date.now() + 1_000)],
  ['9223372036854775807', () => '9223372036854775807'],
  ['400 digits', () => '9'.repeat(400)],
  ['-1', () => '-1'],
  ['"soon"', () => 'soon'],
  ['nothing', () => ''],
  ['0', () => '0'],
  ['a date in the past', () => httpDate(-day)],
  ['a date in the year 9999', () => 'Fri, 31 Dec 9999 23:59:59 GMT'],
  ['the 32nd of a month', () => 'Wed, 32 Dec 2026 02:00:00 GMT'],
  ['600 days', () => String((600 * day) / 1_000)],
];

/** Of these each gets a night of its own. */
const tellingTimes = new Set([
  '429 epoch milliseconds',
  '429 0',
  '429 a date in the year 9999',
  '429 600 days',
  '503 600 days',
]);

const absurdLimits: [what: string, headers: () => Record<string, string>][] = [
  [
    'X-RateLimit-Limit: 1',
    () => ({ 'x-ratelimit-limit': '1', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1' }),
  ],
  [
    'X-RateLimit-Limit: 0',
    () => ({ 'x-ratelimit-limit': '0', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '60' }),
  ],
  [
    'a reset in the year 9999',
    () => ({ 'x-ratelimit-limit': '100', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '253402300799' }),
  ],
  ['a reset of -1', () => ({ 'x-ratelimit-limit': '100', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '-1' })],
  [
    'a remainder of -5',
    () => ({ 'x-ratelimit-limit': '100', 'x-ratelimit-remaining': '-5', 'x-ratelimit-reset': '60' }),
  ],
  [
    'RateLimit: limit=1, remaining=0, reset=99999999999',
    () => ({ ratelimit: 'limit=1, remaining=0, reset=99999999999' }),
  ],
  [
    'RateLimit-Policy: "x";q=1;w=86400',
    () => ({ 'ratelimit-policy': '"x";q=1;w=86400', ratelimit: '"x";r=0;t=86400' }),
  ],
];

export const oddHeaders: readonly OddAnswer[] = [
  ...absurdTimes.flatMap(([what, value]): OddAnswer[] =>
    [429, 503].map((status) => ({
      answer: `${status} with \`Retry-After\`: ${what}`,
      send: (exchange) => replies(status, { headers: { 'retry-after': value() } })(exchange),
      contract: fails(status === 429 ? 'RATE_LIMITED' : `HTTP_${status}`, again),
      ...(tellingTimes.has(`${status} ${what}`) && { alone: true as const }),
    })),
  ),
  {
    answer: '503 with `Retry-After` twice, 0 and 600 days',
    send: replies(503, { headers: ['Retry-After: 0', 'Retry-After: 51840000'] }),
    contract: fails('HTTP_503', again),
  },
  ...absurdLimits.map(([what, headers]): OddAnswer => ({
    answer: `404 with ${what}`,
    send: (exchange) => replies(404, { headers: headers() })(exchange),
    contract: fails('HTTP_404', once),
    alone: true,
  })),
  {
    answer: '200 with `X-RateLimit-Reset` in epoch milliseconds, of a limit not used up',
    send: (exchange) =>
      replies200((good) => good, {
        'x-ratelimit-limit': '1000',
        'x-ratelimit-remaining': '999',
        'x-ratelimit-reset': String(Date.now() + 1_000),
      })(exchange),
    contract: taken,
    alone: true,
  },
  {
    answer: 'headers of 15 KB',
    send: replies200((good) => good, { 'x-long': 'x'.repeat(15_000) }),
    contract: taken,
  },
  {
    answer: '15 KB of `\\"` in `RateLimit`',
    send: replies200((good) => good, { ratelimit: '\\"'.repeat(7_500) }),
    contract: taken,
  },
  {
    answer: 'headers of 20 KB',
    send: replies200((good) => good, { 'x-long': 'x'.repeat(20_000) }),
    contract: fails('RESPONSE_HEADERS_TOO_LARGE', once),
  },
  {
    answer: '3,000 headers',
    send: replies200(
      (good) => good,
      Array.from({ length: 3_000 }, (_, number) => `x-${number}: ${number}`),
    ),
    contract: fails('RESPONSE_HEADERS_TOO_LARGE', once),
  },
  {
    answer: '100 cookies',
    send: replies200(
      (good) => good,
      Array.from({ length: 100 }, (_, number) => `set-cookie: c${number}=${number}`),
    ),
    contract: taken,
  },
  {
    answer: 'the same `Content-Type` twice',
    send: replies200((good) => good, ['Content-Type: application/json', 'Content-Type: application/json']),
    contract: taken,
  },
  {
    answer: 'no `Content-Type`',
    send: sends((good) => `HTTP/1.1 200 OK\r\ncontent-length: ${Buffer.byteLength(good)}\r\n\r\n${good}`),
    contract: taken,
  },
  {
    answer: '`Content-Type: text/csv`',
    send: replies200((good) => good, { 'content-type': 'text/csv' }),
    contract: fails('RESPONSE_NOT_JSON', again),
    token: 'enriched',
  },
  {
    answer: '`Content-Length` twice, alike',
    send: sends((good) => {
      const length = `content-length: ${Buffer.byteLength(good)}\r\n`;
      return `HTTP/1.1 200 OK\r\n${length}${length}\r\n${good}`;
    }),
    contract: fails('RESPONSE_TRUNCATED', again),
  },
  {
    answer: '`Content-Length` twice, differing',
    send: sends((good) => `HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: ${good.length}\r\n\r\n${good}`),
    contract: fails('RESPONSE_TRUNCATED', again),
  },
  {
    answer: '`Content-Length` beside `Transfer-Encoding: chunked`',
    send: sends(
      (good) =>
        `HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n${good.length.toString(16)}\r\n${good}\r\n0\r\n\r\n`,
    ),
    contract: fails('RESPONSE_TRUNCATED', again),
  },
  {
    answer: '`Content-Length: -1`',
    send: sends((good) => `HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n${good}`),
    contract: fails('RESPONSE_NOT_HTTP', again),
  },
  {
    answer: '`Content-Length: many`',
    send: sends((good) => `HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n${good}`),
    contract: fails('RESPONSE_NOT_HTTP', again),
  },
  {
    answer: '`Content-Length` of 1 TB',
    send: sends((good) => `HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n${good}`),
    contract: fails('RESPONSE_TOO_LARGE', once),
  },
  {
    answer: 'a NUL in a header',
    send: sends((good) => `HTTP/1.1 200 OK\r\nx-nul: a\0b\r\ncontent-length: ${good.length}\r\n\r\n${good}`),
    contract: fails('RESPONSE_NOT_HTTP', again),
  },
  {
    answer: 'a header without a colon',
    send: sends((good) => `HTTP/1.1 200 OK\r\nno colon here\r\ncontent-length: ${good.length}\r\n\r\n${good}`),
    contract: fails('RESPONSE_NOT_HTTP', again),
  },
  {
    answer: 'a header with bytes beyond ASCII',
    send: replies200((good) => good, { 'x-name': 'M\u00fcller' }),
    contract: taken,
  },
  {
    answer: '`Date` in 1970',
    send: replies200((good) => good, { date: 'Thu, 01 Jan 1970 00:00:00 GMT' }),
    contract: taken,
  },
  {
    answer: 'a header named `__proto__`',
    send: replies200((good) => good, ['__proto__: x', 'constructor: x']),
    contract: taken,
  },
  {
    answer: '`Content-Encoding: identity, identity`',
    send: replies200((good) => good, { 'content-encoding': 'identity, identity' }),
    contract: taken,
  },
  {
    answer: '`Connection: close` after each answer',
    send: sends((good) => answerBytes(200, { headers: { connection: 'close' }, body: good }), 'close'),
    contract: taken,
  },
  {
    answer: '`Keep-Alive: timeout=0`, and the connection stays',
    send: replies200((good) => good, { connection: 'keep-alive', 'keep-alive': 'timeout=0' }),
    contract: taken,
  },
];
