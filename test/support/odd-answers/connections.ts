import { again, answerBytes, drips, fails, type OddAnswer, sends, taken } from './odd-answer.ts';

const good200 = (good: string): Buffer => answerBytes(200, { body: good });
/** Of nobody's request; taken for an answer it would load a contract that is not there, or end a listing too soon. */
const invented = answerBytes(200, {
  body: '{"id":"invented","name":"odd","currency":"EUR","amount":1,"data":[],"access_token":"invented"}',
});
const head = (good: string): string => `HTTP/1.1 200 OK\r\ncontent-length: ${Buffer.byteLength(good)}\r\n\r\n`;

export const oddConnections: readonly OddAnswer[] = [
  {
    answer: 'a reset before any byte',
    send: sends(() => '', 'reset'),
    contract: fails('CONNECTION_RESET', again),
    alone: true,
  },
  {
    answer: 'an end before any byte',
    send: sends(() => '', 'close'),
    contract: fails('CONNECTION_RESET', again),
    alone: true,
  },
  {
    answer: 'an end of its sending half before any byte',
    send: sends(() => '', 'half-close'),
    contract: fails('CONNECTION_RESET', again),
    alone: true,
  },
  {
    answer: 'a reset within the head',
    send: sends(() => 'HTTP/1.1 200 OK\r\ncontent-le', 'reset'),
    contract: fails('CONNECTION_RESET', again),
  },
  {
    answer: 'a reset after the head',
    send: sends((good) => head(good), 'reset'),
    contract: fails('RESPONSE_TRUNCATED', again),
  },
  {
    answer: 'a reset within the body',
    send: sends((good) => head(good) + good.slice(0, 10), 'reset'),
    contract: fails('RESPONSE_TRUNCATED', again),
    alone: true,
  },
  {
    answer: 'an end of its sending half within the body',
    send: sends((good) => head(good) + good.slice(0, 10), 'half-close'),
    contract: fails('RESPONSE_TRUNCATED', again),
  },
  { answer: 'silence', send: () => undefined, contract: fails('TIMEOUT', again), slow: true, alone: true },
  {
    answer: 'silence after the head',
    send: sends((good) => head(good)),
    contract: fails('TIMEOUT', again),
    slow: true,
  },
  {
    answer: 'a byte at a time',
    send: drips((good) => Array.from(good200(good), (byte) => Buffer.of(byte)), 20),
    contract: fails('TIMEOUT', again),
    slow: true,
    alone: true,
  },
  {
    answer: 'the answer, and the connection closed at once',
    send: sends(good200, 'close'),
    contract: taken,
    alone: true,
  },
  {
    answer: 'the answer, and the connection reset',
    send: sends(good200, 'reset'),
    contract: taken,
    alone: true,
  },
  {
    answer: 'an answer without a length that ends with the connection',
    send: sends((good) => `HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n${good}`, 'close'),
    contract: taken,
  },
  {
    answer: 'two answers to one request',
    send: sends((good) => Buffer.concat([good200(good), invented])),
    contract: taken,
    alone: true,
  },
  {
    answer: 'a 408 to nobody on a connection that rests',
    send: drips((good) => [good200(good), answerBytes(408, { headers: { connection: 'close' } })], 5),
    contract: taken,
    alone: true,
  },
  {
    answer: 'garbage',
    send: sends(() => Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))),
    contract: fails('RESPONSE_NOT_HTTP', again),
    alone: true,
  },
  {
    answer: 'the greeting of an SSH server',
    send: sends(() => 'SSH-2.0-OpenSSH_9.6\r\n', 'half-close'),
    contract: fails('RESPONSE_NOT_HTTP', again),
  },
  {
    answer: 'a TLS alert',
    send: sends(() => Buffer.from([0x15, 3, 1, 0, 2, 2, 0x46]), 'close'),
    contract: fails('RESPONSE_NOT_HTTP', again),
  },
  {
    answer: 'a body without a head, as in HTTP/0.9',
    send: sends((good) => good, 'close'),
    contract: fails('RESPONSE_NOT_HTTP', again),
  },
  {
    answer: 'HTTP/1.0 with the answer',
    send: sends((good) => `HTTP/1.0 200 OK\r\n\r\n${good}`, 'close'),
    contract: taken,
  },
  {
    answer: 'HTTP/2 in the status line',
    send: sends((good) => `HTTP/2 200\r\ncontent-length: ${good.length}\r\n\r\n${good}`, 'close'),
    contract: fails('RESPONSE_NOT_HTTP', again),
  },
];
