import { test } from 'node:test';
import assert from 'node:assert/strict';
import { secretsOf } from '../../src/session/secrets.ts';
import { load, refusal, smallJob } from '../support/job-file.ts';

const oauth = smallJob.replace(
  'type: rest',
  'type: rest\n    auth: { type: oauth2, tokenUrl: http://id.example/token, clientId: me, clientSecret: { env: S } }',
);
const secret = { S: 'hush-4711' };

const proxyOf = async (environment: NodeJS.ProcessEnv, text = smallJob): Promise<string | undefined> =>
  (await load(text, { environment })).apis['crm']!.proxy?.url.reveal();

test('the proxy is the one for the scheme of the address, the small spelling first, and none when it is empty', async () => {
  const https = 'http://proxy.example:3128';
  assert.equal(await proxyOf({ HTTPS_PROXY: https, HTTP_PROXY: 'http://other.example' }), https);
  assert.equal(await proxyOf({ https_proxy: https, HTTPS_PROXY: 'http://other.example' }), https);
  assert.equal(await proxyOf({ https_proxy: '', HTTPS_PROXY: https }), undefined);
  assert.equal(await proxyOf({ HTTP_PROXY: https }), undefined);
  assert.equal(await proxyOf({ HTTPS_PROXY: 'proxy.example:3128' }), https);
  assert.equal(await proxyOf({}), undefined);
});

test('this machine is never asked through a proxy', async () => {
  for (const host of ['127.0.0.1:4010', 'localhost:4010', '[::1]:4010'])
    assert.equal(
      await proxyOf({ HTTPS_PROXY: 'http://proxy.example' }, smallJob.replace('crm.example', host)),
      undefined,
    );
});

test('the token server has a proxy of its own scheme, and NO_PROXY goes with both', async () => {
  const environment = {
    ...secret,
    HTTP_PROXY: 'http://a.example',
    HTTPS_PROXY: 'http://b.example',
    NO_PROXY: 'x.example',
  };
  const { tokenProxy, proxy } = (await load(oauth, { environment })).apis['crm']!;
  assert.deepEqual([tokenProxy?.url.reveal(), tokenProxy?.except], ['http://a.example', 'x.example']);
  assert.deepEqual([proxy?.url.reveal(), proxy?.except], ['http://b.example', 'x.example']);
});

test("the proxy's password is a secret: it stands in no output, and the log filters it", async () => {
  const job = await load(smallJob, { environment: { HTTPS_PROXY: 'http://me:p%40ss-geheim@proxy.example' } });
  assert.doesNotMatch(JSON.stringify(job), /geheim/);
  assert.deepEqual(secretsOf(job), ['p%40ss-geheim', 'p@ss-geheim']);
});

test('a proxy that is none, or of another kind, is refused without being shown', async () => {
  for (const address of ['socks5://me:geheim@proxy.example', 'http://me:geheim@', 'ftp://geheim']) {
    const { message, problems } = await refusal(smallJob, { environment: { HTTPS_PROXY: address } });
    assert.match(message, /HTTPS_PROXY.*expected an address such as http:\/\/proxy\.example\.com:3128/);
    assert.doesNotMatch(message, /geheim/);
    assert.equal(problems[0]?.path, 'apis.crm.baseUrl');
  }
});

test('a client secret that travels over http is warned about', async () => {
  const warnings: string[] = [];
  await load(oauth, { environment: secret, onWarning: (sentence) => warnings.push(sentence) });
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /tokenUrl: the client secret travels unencrypted over http; use https/);
});
