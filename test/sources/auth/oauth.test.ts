import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Api } from '../../../src/sources/api/api.ts';
import { Secret } from '../../../src/sources/auth/secret.ts';
import { apiOptions } from '../../support/api-fixture.ts';
import { ScriptedServer, type Script } from '../../support/scripted-server.ts';

/** A token server and an API that asks for its tokens; the API takes the newest token only. */
async function startWithTokens(options: { tokens?: Script; scope?: string; audience?: string } = {}) {
  const valid = { token: '' };
  let issued = 0;
  const tokens = await ScriptedServer.start(
    options.tokens ??
      (async () => {
        await delay(5);
        issued += 1;
        valid.token = `token-${issued}`;
        return { json: { access_token: valid.token, token_type: 'Bearer', expires_in: '3600' } };
      }),
  );
  const server = await ScriptedServer.start(({ headers }) =>
    headers.authorization === `Bearer ${valid.token}` ? { json: 'in' } : { status: 401, json: { error: 'expired' } },
  );
  const api = new Api(
    apiOptions(server.origin, {
      limits: { concurrency: 10, rates: [{ requests: 100, per: 1000 }] },
      auth: {
        type: 'oauth2',
        tokenUrl: `${tokens.origin}/token?x=1`,
        clientId: 'me & you',
        clientSecret: new Secret('geheim+1'),
        ...(options.scope === undefined ? {} : { scope: options.scope }),
        ...(options.audience === undefined ? {} : { audience: options.audience }),
      },
    }),
  );
  return {
    api,
    server,
    tokens,
    valid,
    async [Symbol.asyncDispose]() {
      await api.close();
      await server[Symbol.asyncDispose]();
      await tokens[Symbol.asyncDispose]();
    },
  };
}

test('one token is asked for with a form, serves all requests, and is kept', async () => {
  await using crm = await startWithTokens({ scope: 'rest read', audience: 'crm' });
  await Promise.all([1, 2, 3].map(async (n) => crm.api.request({ url: `/${n}` })));
  await crm.api.request({ url: '/4' });
  assert.deepEqual(crm.tokens.log, ['POST /token?x=1']);
  const [asked] = crm.tokens.requests;
  assert.equal(asked?.headers['content-type'], 'application/x-www-form-urlencoded');
  assert.deepEqual(Object.fromEntries(new URLSearchParams(asked?.body)), {
    grant_type: 'client_credentials',
    client_id: 'me & you',
    client_secret: 'geheim+1',
    scope: 'rest read',
    audience: 'crm',
  });
  assert.equal(crm.server.requests.length, 4);
});

test('many requests refused at once with 401 renew the token once and are repeated once, uncounted', async () => {
  await using crm = await startWithTokens();
  await crm.api.request({ url: '/first' });
  crm.valid.token = 'revoked';
  const answers = await Promise.all([1, 2, 3, 4, 5].map(async (n) => crm.api.request({ url: `/${n}` })));
  assert.deepEqual(
    answers.map(({ body, attempts }) => [body, attempts]),
    [1, 2, 3, 4, 5].map(() => ['in', 1]),
  );
  assert.equal(crm.tokens.requests.length, 2);
  assert.equal(crm.server.requests.length, 1 + 5 + 5);
  assert.equal(crm.api.statistics().retries, 0);
  // The repeats took permits of their own.
  assert.equal(crm.api.statistics().rates[0]?.peak, 11);
});

test('a refusal that arrives after the token was renewed does not renew it again', async () => {
  await using crm = await startWithTokens();
  await crm.api.request({ url: '/first' });
  crm.valid.token = 'revoked';
  crm.server.answerWith(async ({ url, headers }) => {
    const good = headers.authorization === `Bearer ${crm.valid.token}`;
    if (url === '/late' && !good) await delay(80);
    return good ? { json: 'in' } : { status: 401, body: '' };
  });
  await Promise.all(['/late', '/early'].map(async (url) => crm.api.request({ url })));
  assert.equal(crm.tokens.requests.length, 2);
});

test('a renewed token that is refused too is a configuration error', async () => {
  await using crm = await startWithTokens({ tokens: () => ({ json: { access_token: 'wrong' } }) });
  await assert.rejects(crm.api.request({ url: '/a' }), { code: 'CREDENTIALS_REJECTED', class: 'config', attempts: 1 });
  assert.equal(crm.server.requests.length, 2);
  assert.equal(crm.tokens.requests.length, 2);
});

test('a token is renewed shortly before it ends, and an unknown lifetime lasts', async () => {
  let issued = 0;
  await using crm = await startWithTokens({
    tokens: () => {
      issued += 1;
      crm.valid.token = `short-${issued}`;
      return { json: { access_token: crm.valid.token, expires_in: issued === 1 ? 0.2 : null } };
    },
  });
  await crm.api.request({ url: '/1' });
  await crm.api.request({ url: '/2' });
  assert.equal(issued, 1);
  await delay(190);
  await crm.api.request({ url: '/3' });
  await delay(50);
  await crm.api.request({ url: '/4' });
  assert.equal(issued, 2);
  assert.ok(crm.server.requests.every(({ headers }) => headers.authorization?.startsWith('Bearer short-')));
  assert.equal(crm.server.requests.length, 4, 'no request was refused');
});

test('refused credentials are named without repeating them, and asked for once', async () => {
  await using crm = await startWithTokens({
    tokens: () => ({ status: 401, json: { error: 'invalid_client', error_description: 'geheim+1 is wrong' } }),
  });
  await assert.rejects(crm.api.request({ url: '/a' }), (error: Error & { code: string; class: string }) => {
    assert.deepEqual([error.code, error.class], ['CREDENTIALS_REJECTED', 'config']);
    assert.match(error.message, /401 \(invalid_client\)/);
    assert.doesNotMatch(error.message, /geheim/);
    return true;
  });
  assert.equal(crm.tokens.requests.length, 1);
  assert.deepEqual(crm.server.requests, []);
});

test('a token server that is briefly down is asked again, like an API', async () => {
  let asked = 0;
  await using crm = await startWithTokens({
    tokens: (_request, { socket }) => {
      asked += 1;
      if (asked === 1) return { status: 503, body: '' };
      if (asked === 2) {
        socket.destroy();
        return undefined;
      }
      crm.valid.token = 'late';
      return { json: { access_token: 'late', expires_in: 60 } };
    },
  });
  assert.equal((await crm.api.request({ url: '/a' })).attempts, 1, 'waiting for a token is no attempt');
  assert.equal(asked, 3);
  assert.equal(crm.server.requests.length, 1);
});

test('a redirecting token server gets no credentials carried on', async () => {
  await using elsewhere = await ScriptedServer.start(() => ({ json: { access_token: 'x' } }));
  await using crm = await startWithTokens({
    tokens: () => ({ status: 307, headers: { location: `${elsewhere.origin}/token` }, body: '' }),
  });
  await assert.rejects(crm.api.request({ url: '/a' }), { code: 'CREDENTIALS_REJECTED' });
  assert.deepEqual(elsewhere.requests, []);
});

test('a caller that stops waiting for a token does not abort it for the others', async () => {
  await using crm = await startWithTokens({
    tokens: async () => {
      await delay(60);
      crm.valid.token = 'shared';
      return { json: { access_token: 'shared' } };
    },
  });
  const controller = new AbortController();
  const impatient = crm.api.request({ url: '/1', signal: controller.signal });
  const patient = crm.api.request({ url: '/2' });
  while (crm.tokens.requests.length === 0) await delay(1);
  controller.abort(new Error('enough'));
  await assert.rejects(impatient, { message: 'enough' });
  assert.equal((await patient).body, 'in');
  assert.equal(crm.tokens.requests.length, 1);
});

test('basic and bearer credentials stand in the authorization header', async () => {
  await using server = await ScriptedServer.start(() => ({ json: 1 }));
  for (const [auth, header] of [
    [
      { type: 'basic', username: 'jo', password: new Secret('pä:ss') },
      `Basic ${Buffer.from('jo:pä:ss').toString('base64')}`,
    ],
    [{ type: 'bearer', token: new Secret('abc') }, 'Bearer abc'],
  ] as const) {
    await using api = new Api(apiOptions(server.origin, { auth }));
    await api.request({ url: '/a' });
    assert.equal(server.requests.at(-1)?.headers.authorization, header);
  }
});

test('a secret with a line break is refused before anything is sent, without being shown', () => {
  const auth = { type: 'bearer', token: new Secret('geheim\n') } as const;
  assert.throws(
    () => new Api(apiOptions('http://127.0.0.1:1', { auth })),
    (error: Error & { code: string }) => error.code === 'CREDENTIALS_UNUSABLE' && !error.message.includes('geheim'),
  );
});
