import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Api } from '../../../src/sources/api/api.ts';
import { faultCode } from '../../../src/sources/http/fault-code.ts';
import { Secret } from '../../../src/sources/auth/secret.ts';
import { apiOptions, failure } from '../../support/api-fixture.ts';
import { pem } from '../../support/certificates.ts';
import { ScriptedServer } from '../../support/scripted-server.ts';

const ca = pem('authority');
const client = { ca, cert: pem('client'), key: new Secret(pem('client', 'key')) };

test('a server of an authority of our own is trusted by that API, and by no other', async () => {
  await using server = await ScriptedServer.start(() => ({ json: 'in' }), { tls: { certificate: 'server' } });
  await using api = new Api(apiOptions(server.origin, { tls: { ca } }));
  assert.equal((await api.request({ url: '/a' })).body, 'in');
  for (const tls of [undefined, { ca: pem('stranger') }]) {
    await using other = new Api(apiOptions(server.origin, tls ? { tls } : {}));
    const error = await failure(other.request({ url: '/a' }));
    assert.deepEqual([error.code, error.class, error.attempts], ['TLS_UNTRUSTED', 'config', 1]);
  }
});

for (const [certificate, code] of [
  ['expired', 'TLS_CERTIFICATE_EXPIRED'],
  ['other-host', 'TLS_HOSTNAME_MISMATCH'],
] as const)
  test(`a server with a certificate that is ${certificate} is ${code} and asked once`, async () => {
    await using server = await ScriptedServer.start(() => ({ json: 'in' }), { tls: { certificate } });
    await using api = new Api(apiOptions(server.origin, { tls: { ca } }));
    const error = await failure(api.request({ url: '/a' }));
    assert.deepEqual([error.code, error.class, error.attempts], [code, 'config', 1]);
  });

test('a server that wants a client certificate gets it, and without one the failure says so', async () => {
  await using server = await ScriptedServer.start(() => ({ json: 'in' }), {
    tls: { certificate: 'server', asksClients: true },
  });
  await using api = new Api(apiOptions(server.origin, { tls: client, connections: 1 }));
  for (const url of ['/a', '/b']) assert.equal((await api.request({ url })).body, 'in');
  assert.equal(server.sockets, 1);
  await using without = new Api(apiOptions(server.origin, { tls: { ca } }));
  const error = await failure(without.request({ url: '/a' }));
  assert.deepEqual([error.code, error.class, error.attempts], ['TLS_HANDSHAKE_FAILED', 'config', 1]);
  assert.match(error.message, /tls\.cert and tls\.key/);
  assert.equal(server.requests.length, 2);
});

test('a server that says what is wrong with the client certificate is believed', () => {
  for (const alert of [
    'TLSV13_ALERT_CERTIFICATE_REQUIRED',
    'TLSV1_ALERT_UNKNOWN_CA',
    'SSLV3_ALERT_BAD_CERTIFICATE',
    'SSL/TLS_ALERT_CERTIFICATE_EXPIRED',
  ])
    assert.equal(
      faultCode(Object.assign(new Error(alert), { code: `ERR_SSL_${alert}` })),
      'TLS_CLIENT_CERTIFICATE_REFUSED',
    );
});

test('the token server gets the client certificate when it is the API itself, and never when it is another', async () => {
  const tls = { certificate: 'server', asksClients: true } as const;
  const script = ({ url }: { url: string }) =>
    url === '/token' ? { json: { access_token: 'token' } } : { json: 'in' };
  await using server = await ScriptedServer.start(script, { tls });
  await using other = await ScriptedServer.start(script, { tls });
  for (const [origin, expected] of [
    [server.origin, undefined],
    [other.origin, 'TOKEN_UNAVAILABLE'],
  ] as const) {
    await using api = new Api(
      apiOptions(server.origin, {
        tls: client,
        auth: {
          type: 'oauth2',
          tokenUrl: `${origin}/token`,
          clientId: 'me',
          clientSecret: new Secret('geheim'),
        },
      }),
    );
    if (expected === undefined) assert.equal((await api.request({ url: '/a' })).body, 'in');
    else assert.equal((await failure(api.request({ url: '/a' }))).code, expected);
  }
  assert.equal(other.requests.length, 0);
});
