import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { Api } from '../../../src/sources/api/api.ts';
import { apiOptions, failure, startApi } from '../../support/api-fixture.ts';
import type { Script } from '../../support/scripted-server.ts';

const json = { 'content-type': 'application/json' };

/** Each fault of an answer: what the server does, the failure it is, and how often it is asked for (of 3 attempts). */
const faults: { name: string; script: Script; code: string; asked: number }[] = [
  {
    name: 'a body cut off before its length',
    script: (_request, { response, socket }) => {
      response.writeHead(200, { ...json, 'content-length': '100' });
      response.write('{"a":', () => socket.destroy());
    },
    code: 'RESPONSE_TRUNCATED',
    asked: 3,
  },
  {
    name: 'a chunked body cut off before its end',
    script: (_request, { response, socket }) => {
      response.writeHead(200, json);
      response.write('{"a":1}', () => socket.destroy());
    },
    code: 'RESPONSE_TRUNCATED',
    asked: 3,
  },
  {
    name: 'a compressed body that ends early',
    script: () => ({ body: gzipSync('{"a":1}').subarray(0, 12), headers: { ...json, 'content-encoding': 'gzip' } }),
    code: 'RESPONSE_TRUNCATED',
    asked: 3,
  },
  {
    name: 'bytes that are not what their encoding says',
    script: () => ({ body: '{"a":1}', headers: { ...json, 'content-encoding': 'gzip' } }),
    code: 'RESPONSE_MALFORMED',
    asked: 3,
  },
  {
    name: 'an encoding nobody asked for',
    script: () => ({ body: '{"a":1}', headers: { ...json, 'content-encoding': 'compress' } }),
    code: 'RESPONSE_ENCODING_UNKNOWN',
    asked: 1,
  },
  {
    name: 'JSON cut off in the middle',
    script: () => ({ body: '{"a":', headers: json }),
    code: 'RESPONSE_MALFORMED',
    asked: 3,
  },
  {
    name: 'bytes that are not UTF-8',
    script: () => ({ body: Buffer.from([0x22, 0xe4, 0x22]), headers: json }),
    code: 'RESPONSE_MALFORMED',
    asked: 3,
  },
  { name: 'an empty body', script: () => ({ body: '', headers: json }), code: 'RESPONSE_EMPTY', asked: 3 },
  {
    name: 'an HTML page with status 200',
    script: () => ({ body: '<!doctype html><p>Back soon', headers: { 'content-type': 'text/html' } }),
    code: 'RESPONSE_NOT_JSON',
    asked: 3,
  },
  {
    name: 'HTML that claims to be JSON',
    script: () => ({ body: ' <html>', headers: json }),
    code: 'RESPONSE_NOT_JSON',
    asked: 3,
  },
  {
    name: 'another content type',
    script: () => ({ body: '1,2', headers: { 'content-type': 'text/csv' } }),
    code: 'RESPONSE_NOT_JSON',
    asked: 3,
  },
  {
    name: 'nesting beyond reading',
    script: () => ({ body: '['.repeat(100_000) + ']'.repeat(100_000), headers: json }),
    code: 'RESPONSE_TOO_DEEP',
    asked: 1,
  },
  {
    name: 'a length beyond the cap',
    script: (_request, { response }) => {
      response.writeHead(200, { ...json, 'content-length': String(400 * 1024 * 1024) });
      response.write('[');
    },
    code: 'RESPONSE_TOO_LARGE',
    asked: 1,
  },
  {
    name: 'a bomb that inflates beyond the cap',
    script: () => ({
      body: gzipSync(Buffer.alloc(40 * 1024 * 1024)),
      headers: { ...json, 'content-encoding': 'gzip' },
    }),
    code: 'RESPONSE_TOO_LARGE',
    asked: 1,
  },
  {
    name: 'a reset before any answer',
    script: (_request, { socket }) => {
      socket.resetAndDestroy();
    },
    code: 'CONNECTION_RESET',
    asked: 3,
  },
  {
    name: 'a close before any answer',
    script: (_request, { socket }) => {
      socket.destroy();
    },
    code: 'CONNECTION_RESET',
    asked: 3,
  },
  {
    name: 'bytes that are no HTTP',
    script: (_request, { socket }) => {
      socket.end('SSH-2.0-OpenSSH_9.6\r\n');
    },
    code: 'RESPONSE_NOT_HTTP',
    asked: 3,
  },
  {
    name: 'headers without an end',
    script: (_request, { socket }) => {
      socket.write(`HTTP/1.1 200 OK\r\nx-long: ${'x'.repeat(40_000)}\r\n\r\n`);
    },
    code: 'RESPONSE_HEADERS_TOO_LARGE',
    asked: 1,
  },
];

for (const { name, script, code, asked } of faults) {
  test(`${name} is ${code}, asked ${asked === 1 ? 'once' : 'again'}`, async () => {
    await using crm = await startApi(script);
    const error = await failure(crm.api.request({ url: '/a' }));
    assert.equal(error.code, code);
    assert.equal(crm.server.requests.length, asked);
    assert.equal(error.attempts, asked);
    // The next request finds a working API: no socket is stuck in a half-read answer.
    crm.server.answerWith(() => ({ json: 'fine' }));
    assert.equal((await crm.api.request({ url: '/b' })).body, 'fine');
  });
}

test('an endless answer is cut off at the limit without being kept in memory', async () => {
  let sent = 0;
  await using crm = await startApi(
    (_request, { response }) => {
      response.writeHead(200, json);
      const chunk = Buffer.alloc(64 * 1024, '1');
      const pour = (): void => {
        while (!response.destroyed && sent < 400 * 1024 * 1024) {
          sent += chunk.length;
          if (!response.write(chunk)) {
            response.once('drain', pour);
            return;
          }
        }
      };
      pour();
    },
    { maxResponseBytes: 256 * 1024 },
  );
  const error = await failure(crm.api.request({ url: '/a' }));
  assert.equal(error.code, 'RESPONSE_TOO_LARGE');
  // What the sockets' own buffers hold may be sent besides.
  assert.ok(sent < 32 * 1024 * 1024, `${sent} bytes sent`);
});

test('an answer exactly as long as the limit is accepted, plain and compressed', async () => {
  const body = JSON.stringify('x'.repeat(998));
  await using crm = await startApi(
    ({ url }) =>
      url === '/plain'
        ? { body, headers: json }
        : { body: gzipSync(body), headers: { ...json, 'content-encoding': 'gzip' } },
    { maxResponseBytes: 1000 },
  );
  for (const url of ['/plain', '/gzip']) assert.equal((await crm.api.request({ url })).body, 'x'.repeat(998));
});

for (const [encoding, body] of [
  ['gzip', gzipSync('{"a":1}')],
  ['deflate', deflateSync('{"a":1}')],
  ['deflate', deflateRawSync('{"a":1}')],
  ['br', brotliCompressSync('{"a":1}')],
  ['GZIP, br', brotliCompressSync(gzipSync('{"a":1}'))],
] as const) {
  test(`an answer compressed as ${encoding} is read (${body.length} bytes)`, async () => {
    await using crm = await startApi(() => ({ body, headers: { ...json, 'content-encoding': encoding } }));
    const answer = await crm.api.request({ url: '/a' });
    assert.deepEqual(answer.body, { a: 1 });
    assert.equal(answer.bytes, body.length);
    assert.equal(crm.server.requests[0]?.headers['accept-encoding'], 'gzip, deflate, br');
  });
}

test('a byte order mark and a missing or plain content type do not matter', async () => {
  await using crm = await startApi(({ url }) => ({
    body: '\u{feff}[1]',
    headers: url === '/plain' ? { 'content-type': 'text/plain; charset=utf-8' } : {},
  }));
  assert.deepEqual((await crm.api.request({ url: '/plain' })).body, [1]);
  assert.deepEqual((await crm.api.request({ url: '/none' })).body, [1]);
});

test('a long answer is read whole, with its byte order mark and whichever character lies across its steps', async () => {
  const text = (before: number): string => `${'a'.repeat(before)}${'😀'.repeat(300_000)}`;
  await using crm = await startApi(
    ({ url }) => ({ body: `\u{feff}${JSON.stringify([text(Number(url.slice(1)))])}`, headers: json }),
    { maxResponseBytes: 2e6 },
  );
  for (const before of [0, 1, 2, 3])
    assert.ok(isDeepStrictEqual((await crm.api.request({ url: `/${before}` })).body, [text(before)]));
});

test('an error page keeps its status whatever its bytes are', async () => {
  await using crm = await startApi(() => ({
    status: 404,
    body: Buffer.from([0xe4, 0xff]),
    headers: { 'content-encoding': 'gzip' },
  }));
  assert.equal((await failure(crm.api.request({ url: '/a' }))).code, 'HTTP_404');
});

test('a server that hangs is a timeout, asked again, and its socket is destroyed', async () => {
  const closed: Promise<unknown>[] = [];
  await using crm = await startApi(
    (_request, { socket }) => {
      closed.push(once(socket, 'close'));
    },
    { timeout: 60 },
  );
  const error = await failure(crm.api.request({ url: '/a' }));
  assert.deepEqual([error.code, error.class, error.attempts], ['TIMEOUT', 'transient', 3]);
  assert.equal(crm.api.statistics().timeouts, 3);
  await Promise.all(closed);
  assert.equal(closed.length, 3);
});

test('a server that sends byte by byte causes a timeout', async () => {
  await using crm = await startApi(
    (_request, { response }) => {
      response.writeHead(200, json);
      const timer = setInterval(() => response.write(' '), 10);
      response.once('close', () => clearInterval(timer));
    },
    { timeout: 100, retry: { attempts: 1 } },
  );
  assert.equal((await failure(crm.api.request({ url: '/a' }))).code, 'TIMEOUT');
});

test('a request on a connection that was closed while idle is resent once, without counting an attempt', async () => {
  await using crm = await startApi(
    ({ url }, { socket }) => {
      if (url === '/dies' && crm.server.requests.filter((request) => request.url === '/dies').length === 1) {
        socket.destroy();
        return undefined;
      }
      return { json: 1 };
    },
    { connections: 1, retry: { attempts: 1 }, limits: { rates: [{ requests: 100, per: 1000 }] } },
  );
  await crm.api.request({ url: '/warm' });
  const answer = await crm.api.request({ url: '/dies' });
  assert.equal(answer.attempts, 1);
  assert.deepEqual(crm.server.log, ['GET /warm', 'GET /dies', 'GET /dies']);
  const { retries, rates } = crm.api.statistics();
  // Each of the three took a permit: the limit holds at the server.
  assert.deepEqual({ retries, peak: rates[0]?.peak }, { retries: 0, peak: 3 });
});

test('a second closed connection is a failure, and so is a new connection that is lost', async () => {
  await using crm = await startApi(
    ({ url }, { socket }) => {
      if (url === '/warm') return { json: 1 };
      socket.destroy();
      return undefined;
    },
    { connections: 1, retry: { attempts: 1 } },
  );
  assert.equal((await failure(crm.api.request({ url: '/fresh' }))).code, 'CONNECTION_RESET');
  assert.equal(crm.server.requests.length, 1);
  await crm.api.request({ url: '/warm' });
  assert.equal((await failure(crm.api.request({ url: '/dies' }))).code, 'CONNECTION_RESET');
  assert.deepEqual(crm.server.log.slice(2), ['GET /dies', 'GET /dies']);
});

test('a POST on a kept-alive connection that dies is not repeated either', async () => {
  await using crm = await startApi(
    ({ method }, { socket }) => {
      if (method === 'GET') return { json: 1 };
      socket.destroy();
      return undefined;
    },
    { connections: 1 },
  );
  await crm.api.request({ url: '/warm' });
  assert.equal((await failure(crm.api.request({ method: 'POST', url: '/a', body: '{}' }))).code, 'CONNECTION_RESET');
  assert.deepEqual(crm.server.log, ['GET /warm', 'POST /a']);
});

test('a POST whose answer was lost is not repeated, unless it says that it only reads', async () => {
  await using crm = await startApi((_request, { socket }) => {
    socket.destroy();
  });
  await failure(crm.api.request({ method: 'POST', url: '/a', body: '{}' }));
  assert.equal(crm.server.requests.length, 1);
  await failure(crm.api.request({ method: 'POST', url: '/a', body: '{}', repeatable: true }));
  assert.equal(crm.server.requests.length, 4);
});

test('a port nobody listens on refuses the connection, and no permit is spent on it', async () => {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  assert.ok(address !== null && typeof address === 'object');
  listener.close();
  await once(listener, 'close');
  await using api = new Api(
    apiOptions(`http://127.0.0.1:${address.port}`, { limits: { rates: [{ requests: 1, per: 60_000 }] } }),
  );
  const error = await failure(api.request({ url: '/a' }));
  assert.deepEqual([error.code, error.class, error.attempts], ['CONNECTION_REFUSED', 'transient', 3]);
  assert.equal(api.statistics().requests, 0);
  assert.equal(api.statistics().rates[0]?.peak, 0);
});

test('TLS against a server without it is a configuration mistake and asked once', async () => {
  await using crm = await startApi(() => ({ json: 1 }));
  await using api = new Api(apiOptions(crm.server.origin.replace('http:', 'https:')));
  const error = await failure(api.request({ url: '/a' }));
  assert.deepEqual([error.code, error.class, error.attempts], ['TLS_HANDSHAKE_FAILED', 'config', 1]);
});

test('a message never carries the credentials, even when the server repeats them', async () => {
  const { Secret } = await import('../../../src/sources/auth/secret.ts');
  await using crm = await startApi(
    ({ headers }) => ({ status: 403, body: `bad key ${String(headers['x-api-key'])}` }),
    {
      auth: { type: 'header', name: 'X-Api-Key', value: new Secret('sk-geheim-1') },
    },
  );
  const error = await failure(crm.api.request({ url: '/a' }));
  assert.equal(crm.server.requests[0]?.headers['x-api-key'], 'sk-geheim-1');
  assert.match(error.message, /bad key \[redacted\]/);
});
