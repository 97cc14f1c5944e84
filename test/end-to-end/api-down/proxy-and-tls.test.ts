import assert from 'node:assert/strict';
import path from 'node:path';
import { chmod } from 'node:fs/promises';
import { test } from 'node:test';
import { pem } from '../../support/certificates.ts';
import { ForwardProxy } from '../../support/forward-proxy.ts';
import { startNight } from '../../support/night.ts';
import { listAndLookUp, scriptedJob, scriptedToken } from '../../support/scripted-job.ts';
import { ScriptedServer } from '../../support/scripted-server.ts';

test('a night goes through the proxy of the environment, with an authority and a client certificate of its own', async (t) => {
  await using proxy = await ForwardProxy.start();
  await using server = await ScriptedServer.start(listAndLookUp([{ id: 'c1' }, { id: 'c2' }]), {
    tls: { certificate: 'server', asksClients: true },
  });
  const password = 'proxy-hush-hush';
  const night = await startNight(t, {
    environment: { CRM_TOKEN: scriptedToken, HTTPS_PROXY: `http://me:${password}@127.0.0.1:${proxy.port}` },
    secrets: [scriptedToken, password],
  });
  await night.write('ca.pem', pem('authority'));
  await night.write('client.pem', pem('client'));
  await night.write('client.key', pem('client', 'key'));
  await chmod(path.join(night.folder, 'client.key'), 0o600);
  const tls = { ca: './ca.pem', cert: 'client.pem', key: { file: './client.key' } };
  await night.write('job.yaml', scriptedJob(`https://crm.example.test:${server.port}`, { api: { tls } }));

  const file = path.join(night.folder, 'job.yaml');
  const report = ['--report', path.join(night.folder, 'report.json')];
  const ended = await night.nightfill('run', file, ...report);
  assert.equal(ended.exitCode, 0, ended.stdout + ended.stderr);
  assert.deepEqual(await night.query('SELECT id FROM contracts ORDER BY id'), [{ id: 'c1' }, { id: 'c2' }]);
  assert.ok(proxy.log.every((line) => line === `CONNECT crm.example.test:${server.port}`));
  assert.deepEqual(new Set(proxy.credentials), new Set([`Basic ${Buffer.from(`me:${password}`).toString('base64')}`]));

  // The proxy's words are the failure's, and none of its secrets.
  proxy.refuseWith = 407;
  const refused = await night.nightfill('run', file, '--again', ...report);
  assert.equal(refused.exitCode, 2);
  assert.match(refused.stderr, /the proxy requires credentials/);
  const said = [ended.stdout, ended.stderr, refused.stdout, refused.stderr, await night.read('report.json')].join();
  assert.doesNotMatch(said, new RegExp(`${password}|${scriptedToken}|PRIVATE KEY`));
});
