import assert from 'node:assert/strict';
import dns from 'node:dns';
import { test, type TestContext } from 'node:test';
import { Api } from '../../../src/sources/api/api.ts';
import { exchange, openPool } from '../../../src/sources/http/exchange.ts';
import { apiOptions, failure, startApi } from '../../support/api-fixture.ts';
import { ScriptedServer } from '../../support/scripted-server.ts';

for (const [name, head, code] of [
  ['a status of 000', 'HTTP/1.1 000 Nothing\r\ncontent-length: 2', 'CONNECTION_FAILED'],
  ['a status below 100', 'HTTP/1.1 050 Odd\r\ncontent-length: 2', 'CONNECTION_FAILED'],
  ['a switch of protocols nobody asked for', 'HTTP/1.1 101 Switching Protocols', 'CONNECTION_FAILED'],
  ['an upgrade nobody asked for', 'HTTP/1.1 101 S\r\nconnection: upgrade\r\nupgrade: websocket', 'CONNECTION_RESET'],
  ['a status of 999', 'HTTP/1.1 999 Denied\r\ncontent-length: 2', 'HTTP_999'],
] as const) {
  test(`${name} is a failure of that request alone, asked again`, async () => {
    await using crm = await startApi((_request, { socket }) => {
      socket.write(`${head}\r\n\r\n{}`);
    });
    const error = await failure(crm.api.request({ url: '/a' }));
    assert.deepEqual([error.code, error.class, error.attempts], [code, 'transient', 3]);
    assert.doesNotMatch(error.message, /assert/);
    crm.server.answerWith(() => ({ json: 'fine' }));
    assert.equal((await crm.api.request({ url: '/b' })).body, 'fine');
  });
}

/** Every name is looked up in vain from now on, as the system would say it. */
function breakLookups(t: TestContext, code: string): { asked: () => number } {
  const lookup = t.mock.method(dns, 'lookup', (...given: unknown[]) => {
    const error = Object.assign(new Error(`getaddrinfo ${code}`), { code, syscall: 'getaddrinfo' });
    queueMicrotask(() => (given.at(-1) as (error: Error) => void)(error));
  });
  return { asked: () => lookup.mock.callCount() };
}

for (const code of ['EMFILE', 'ENFILE']) {
  test(`out of file descriptors (${code}) is the machine's own failure and says what to do`, async (t) => {
    breakLookups(t, code);
    await using api = new Api(apiOptions('http://crm.test'));
    const error = await failure(api.request({ url: '/a' }));
    assert.deepEqual([error.code, error.class, error.attempts], ['OUT_OF_FILE_DESCRIPTORS', 'system', 3]);
    assert.match(error.message, /ulimit -n.*connections/);
  });
}

test('an unknown host is asked once; one that answered before is asked again, because the name server is at fault', async (t) => {
  await using server = await ScriptedServer.start(() => ({ json: 1, headers: { connection: 'close' } }));
  await using api = new Api(apiOptions(server.origin.replace('127.0.0.1', 'localhost')));
  await api.request({ url: '/a' });
  const lookups = breakLookups(t, 'ENOTFOUND');
  const late = await failure(api.request({ url: '/b' }));
  assert.deepEqual([late.code, late.class, late.attempts], ['DNS_UNAVAILABLE', 'transient', 3]);
  assert.equal(lookups.asked(), 3);
  await using unknown = new Api(apiOptions('http://crm.test'));
  const first = await failure(unknown.request({ url: '/a' }));
  assert.deepEqual([first.code, first.class, first.attempts], ['DNS_NOT_FOUND', 'config', 1]);
});

test('a programming error within an exchange is thrown unchanged, not as a fault of the connection', async () => {
  await using server = await ScriptedServer.start(() => ({ json: 1 }));
  const pool = openPool(server.origin, { connections: 1, connectTimeout: 1_000 });
  const mistake = new TypeError('a mistake of ours');
  const slip = (): void => {
    throw mistake;
  };
  const request = { method: 'GET', path: '/', headers: {} } as const;
  for (const slips of [{ onWritten: slip }, { onAnswered: slip }])
    await assert.rejects(exchange(pool, request, { maxBytes: 100, ...slips }), mistake);
  assert.equal((await exchange(pool, request, { maxBytes: 100 })).status, 200);
  await pool.close();
});
