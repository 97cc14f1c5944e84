import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Api } from '../../../src/sources/api/api.ts';
import { Secret } from '../../../src/sources/auth/secret.ts';
import { apiOptions, failure } from '../../support/api-fixture.ts';
import { pem } from '../../support/certificates.ts';
import { ForwardProxy } from '../../support/forward-proxy.ts';
import { ScriptedServer, type Script } from '../../support/scripted-server.ts';

type Changes = Parameters<typeof apiOptions>[1];

/** An API at api.example.test, which only the proxy finds. */
async function startBehindProxy(
  scheme: 'http' | 'https',
  { script = () => ({ json: 'in' }), user = '', ...changes }: Changes & { script?: Script; user?: string } = {},
) {
  const proxy = await ForwardProxy.start();
  const server = await ScriptedServer.start(script, scheme === 'https' ? { tls: { certificate: 'server' } } : {});
  const url = new Secret(`http://${user}127.0.0.1:${proxy.port}`);
  const host = `api.example.test:${server.port}`;
  const api = new Api(
    apiOptions(`${scheme}://${host}`, {
      proxy: { url, except: '' },
      ...(scheme === 'https' && { tls: { ca: pem('authority') } }),
      ...changes,
    }),
  );
  return {
    proxy,
    server,
    host,
    api,
    async [Symbol.asyncDispose]() {
      await api.close();
      await server[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

test('https goes through a tunnel, in which the API proves itself by its own certificate', async () => {
  await using crm = await startBehindProxy('https', { connections: 1 });
  for (const url of ['/a', '/b']) assert.equal((await crm.api.request({ url })).body, 'in');
  assert.deepEqual(crm.proxy.log, [`CONNECT ${crm.host}`]);
  assert.deepEqual(crm.server.log, ['GET /a', 'GET /b']);
  assert.equal(crm.server.requests[0]?.headers.host, crm.host);
});

test('http is passed on by the proxy', async () => {
  await using crm = await startBehindProxy('http');
  assert.equal((await crm.api.request({ url: '/a?b=1' })).body, 'in');
  assert.deepEqual(crm.proxy.log, [`GET http://${crm.host}/a?b=1`]);
  assert.equal(crm.server.requests[0]?.headers.host, crm.host);
});

for (const scheme of ['https', 'http'] as const) {
  test(`the proxy's own user and password go to the proxy and nowhere else (${scheme})`, async () => {
    await using crm = await startBehindProxy(scheme, {
      user: 'me:p%40ss-geheim@',
      auth: { type: 'bearer', token: new Secret('crm-geheim') },
    });
    await crm.api.request({ url: '/a' });
    assert.deepEqual(crm.proxy.credentials, [`Basic ${Buffer.from('me:p@ss-geheim').toString('base64')}`]);
    const [seen] = crm.server.requests;
    assert.equal(seen?.headers.authorization, 'Bearer crm-geheim');
    // Our proxy passes every header on as a proxy of that kind would not.
    if (scheme === 'https') assert.equal(seen?.headers['proxy-authorization'], undefined);
  });

  for (const [status, code, failureClass, asked] of [
    [407, 'PROXY_REFUSED', 'config', 1],
    ...(scheme === 'https'
      ? ([
          [403, 'PROXY_REFUSED', 'config', 1],
          [502, 'PROXY_UNAVAILABLE', 'transient', 3],
        ] as const)
      : []),
  ] as const)
    test(`a proxy that answers ${status} is ${code} (${scheme})`, async () => {
      await using crm = await startBehindProxy(scheme, { user: 'me:p%40ss-geheim@' });
      crm.proxy.refuseWith = status;
      const error = await failure(crm.api.request({ url: '/a' }));
      assert.deepEqual([error.code, error.class, error.attempts], [code, failureClass, asked]);
      assert.doesNotMatch(error.message, /geheim/);
      assert.equal(crm.server.requests.length, 0);
      crm.proxy.refuseWith = undefined;
      assert.equal((await crm.api.request({ url: '/b' })).body, 'in');
    });
}

test('a proxy that never answers is a host that does not answer', async () => {
  await using crm = await startBehindProxy('https', { timeout: 100, retry: { attempts: 1 } });
  crm.proxy.refuseWith = null;
  const { code, class: failureClass } = await failure(crm.api.request({ url: '/a' }));
  assert.deepEqual([failureClass, /TIMEOUT/.test(code)], ['transient', true]);
  crm.proxy.refuseWith = undefined;
  await delay(100);
  assert.equal((await crm.api.request({ url: '/b' })).body, 'in');
});

test('through tunnels no more requests arrive in a window than may, and connections caps the tunnels', async () => {
  const at: number[] = [];
  await using crm = await startBehindProxy('https', {
    script: () => {
      at.push(performance.now());
      return { json: 'in' };
    },
    connections: 3,
    limits: { concurrency: 8, rates: [{ requests: 10, per: 200 }] },
  });
  await Promise.all(Array.from({ length: 25 }, async (_, n) => crm.api.request({ url: `/${n}` })));
  assert.ok(crm.proxy.log.length <= 3, `${crm.proxy.log.length} tunnels`);
  assert.ok(crm.server.peak <= 3, `${crm.server.peak} at once`);
  for (const [index, begin] of at.entries())
    assert.ok(at.filter((time) => time >= begin && time < begin + 200).length <= 10, `from request ${index} on`);
  assert.equal(crm.api.statistics().rates[0]?.peak, 10);
});

test('a request on a tunnel that was closed while idle is resent at once, without counting an attempt', async () => {
  let answered = 0;
  await using crm = await startBehindProxy('https', {
    script: (_request, { socket }) => {
      answered += 1;
      if (answered !== 2) return { json: 'in' };
      socket.destroy();
      return undefined;
    },
    connections: 1,
    retry: { attempts: 1 },
  });
  await crm.api.request({ url: '/a' });
  assert.equal((await crm.api.request({ url: '/b' })).attempts, 1);
  assert.equal(crm.server.requests.length, 3);
});

test('a host in NO_PROXY is asked without the proxy', async () => {
  await using proxy = await ForwardProxy.start();
  await using server = await ScriptedServer.start(() => ({ json: 'in' }));
  const url = new Secret(`http://127.0.0.1:${proxy.port}`);
  for (const except of ['127.0.0.1', `other.test, 127.0.0.1:${server.port}`, '*']) {
    await using api = new Api(apiOptions(server.origin, { proxy: { url, except } }));
    assert.equal((await api.request({ url: '/a' })).body, 'in');
  }
  assert.deepEqual(proxy.log, []);
});

test('the token server is asked through its own proxy', async () => {
  await using crm = await startBehindProxy('http');
  await using tokens = await ScriptedServer.start(() => ({ json: { access_token: 'token' } }));
  const url = new Secret(`http://127.0.0.1:${crm.proxy.port}`);
  const auth = {
    type: 'oauth2',
    tokenUrl: `http://tokens.example.test:${tokens.port}/token`,
    clientId: 'me',
    clientSecret: new Secret('geheim'),
  } as const;
  await using api = new Api(apiOptions(crm.server.origin, { auth, tokenProxy: { url, except: '' } }));
  assert.equal((await api.request({ url: '/a' })).body, 'in');
  assert.deepEqual(crm.proxy.log, [`POST http://tokens.example.test:${tokens.port}/token`]);
});
