import { again, answerBytes, drips, fails, type OddAnswer, once, replies, sends, taken } from './odd-answer.ts';

const good200 = (good: string): Buffer => answerBytes(200, { body: good });

/** With an ordinary error body, each by the table of statuses. */
const plain: [status: number, attempts: number, code?: string][] = [
  [300, once, 'REDIRECT_REFUSED'],
  [304, once, 'REDIRECT_REFUSED'],
  [305, once, 'REDIRECT_REFUSED'],
  [400, once],
  [402, once],
  [404, once],
  [405, once],
  [406, once],
  [407, once],
  [408, again],
  [409, once],
  [410, once],
  [413, once],
  [418, once],
  [421, once],
  [422, once],
  [423, once],
  [426, once],
  [431, once],
  [451, once],
  [499, once],
  [500, again],
  [501, once],
  [502, again],
  [504, again],
  [505, once],
  [507, again],
  [511, again],
  [520, again],
  [521, again],
  [522, again],
  [523, again],
  [524, again],
  [525, again],
  [526, again],
  [527, again],
  [529, again],
  [530, again],
  [598, again],
  [600, again],
  [999, again],
];

export const oddStatuses: readonly OddAnswer[] = [
  ...plain.map(([status, attempts, code = `HTTP_${status}`]): OddAnswer => ({
    answer: `status ${status}`,
    send: replies(status),
    contract: fails(code, attempts),
  })),
  {
    answer: 'status 000',
    send: sends(() => answerBytes('000', { body: '{}' }), 'close'),
    contract: fails('CONNECTION_FAILED', again),
  },
  {
    answer: 'status 99, of two digits',
    send: sends(() => answerBytes('99', { body: '{}' }), 'close'),
    contract: fails('RESPONSE_NOT_HTTP', again),
  },
  {
    answer: 'status 2000, of four digits',
    send: sends(() => answerBytes('2000', { body: '{}' }), 'close'),
    contract: fails('RESPONSE_NOT_HTTP', again),
  },
  {
    answer: '100 Continue that nobody asked for, then the answer',
    send: sends((good) => Buffer.concat([Buffer.from('HTTP/1.1 100 Continue\r\n\r\n'), good200(good)])),
    contract: fails('CONNECTION_RESET', again),
  },
  {
    answer: '100 Continue 1,000 times, then the answer',
    send: sends((good) => Buffer.concat([Buffer.from('HTTP/1.1 100 Continue\r\n\r\n'.repeat(1_000)), good200(good)])),
    contract: fails('CONNECTION_RESET', again),
  },
  {
    answer: '101 Switching Protocols that nobody asked for',
    send: sends(() => 'HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n'),
    contract: fails('CONNECTION_RESET', again),
  },
  {
    answer: '102 Processing 1,000 times, then the answer',
    send: sends((good) => Buffer.concat([Buffer.from('HTTP/1.1 102 Processing\r\n\r\n'.repeat(1_000)), good200(good)])),
    contract: taken,
  },
  {
    answer: '102 Processing for ever, and no answer',
    send: drips(function* () {
      for (;;) yield 'HTTP/1.1 102 Processing\r\n\r\n';
    }, 20),
    contract: fails('TIMEOUT', again),
    slow: true,
  },
  {
    answer: '103 Early Hints, then the answer',
    send: sends((good) =>
      Buffer.concat([Buffer.from('HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=next\r\n\r\n'), good200(good)]),
    ),
    contract: taken,
  },
  { answer: '201 with the answer', send: replies(201, { body: (good) => good }), contract: taken },
  { answer: '203 with the answer', send: replies(203, { body: (good) => good }), contract: taken },
  {
    answer: '204 without a body',
    send: sends(() => 'HTTP/1.1 204 No Content\r\n\r\n'),
    contract: fails('HTTP_204', once),
  },
  {
    answer: '204 with a body, which may not be',
    send: sends((good) => answerBytes(204, { body: good }), 'close'),
    contract: fails('HTTP_204', once),
  },
  {
    answer: '205 without a body',
    send: sends(() => 'HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n'),
    contract: fails('HTTP_205', once),
  },
  {
    answer: '206 with half of the answer',
    send: replies(206, {
      headers: { 'content-range': 'bytes 0-9/99' },
      body: (good) => good.slice(0, good.length / 2),
    }),
    contract: fails('RESPONSE_MALFORMED', again),
  },
  {
    answer: '301 to another server',
    send: ({ socket, foreign }) => void socket.write(answerBytes(301, { headers: { location: `${foreign}/x` } })),
    contract: fails('REDIRECT_REFUSED', once),
  },
  {
    answer: '302 to itself',
    send: replies(302, { headers: { location: '?again' } }),
    contract: fails('REDIRECT_REFUSED', once),
  },
  { answer: '303 to nowhere', send: replies(303), contract: fails('REDIRECT_REFUSED', once) },
  {
    answer: '307 to an address that is none',
    send: replies(307, { headers: { location: 'http://[::bad' } }),
    contract: fails('REDIRECT_REFUSED', once),
  },
  {
    answer: '308 to file:///etc/passwd',
    send: replies(308, { headers: { location: 'file:///etc/passwd' } }),
    contract: fails('REDIRECT_REFUSED', once),
  },
  {
    answer: '401 for this one alone',
    send: replies(401, { headers: { 'www-authenticate': 'Bearer error="invalid_token"' } }),
    contract: fails('CREDENTIALS_REJECTED', once),
    alone: true,
  },
  { answer: '403 for this one alone', send: replies(403), contract: fails('HTTP_403', once), alone: true },
  {
    answer: '400 with a page of HTML',
    send: replies(400, { headers: { 'content-type': 'text/html' }, body: () => '<h1>Bad request</h1>' }),
    contract: fails('HTTP_400', once),
  },
  {
    answer: '500 with a stack trace of 1 MB',
    send: replies(500, { headers: { 'content-type': 'text/plain' }, body: () => 'at foo\n'.repeat(140_000) }),
    contract: fails('HTTP_500', again),
  },
  {
    answer: '503 without a word',
    send: replies(503, { body: () => '' }),
    contract: fails('HTTP_503', again),
    alone: true,
  },
  {
    answer: '429 without a time',
    send: replies(429),
    contract: fails('RATE_LIMITED', again),
    alone: true,
  },
];
