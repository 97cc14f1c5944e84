import { generateKeyPairSync } from 'node:crypto';
import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { secretsOf } from '../../src/session/secrets.ts';
import { JobFileError } from '../../src/config/yaml/job-file-error.ts';
import { loadJob } from '../../src/config/load-job.ts';
import { pem } from '../support/certificates.ts';
import { inFolder, refusal, smallJob } from '../support/job-file.ts';

const withTls = (tls: string) => smallJob.replace('type: rest', `type: rest\n    tls: ${tls}`);

const files = {
  'ca.pem': pem('authority'),
  'client.pem': `${pem('client')}${pem('authority')}`,
  'client.key': pem('client', 'key'),
  'other.key': pem('strange-client', 'key'),
  'nonsense.pem': '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n',
  'binary.der': Buffer.from([0x30, 0x82, 0x01, 0x0a]),
  'locked.key': generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  }).privateKey,
};

test('an authority, a client certificate and its key are read from files beside the job file', async () => {
  const whole = '{ ca: ./ca.pem, cert: client.pem, key: { file: ./client.key } }';
  await inFolder({ ...files, 'job.yaml': withTls(whole) }, async (folder) => {
    const job = await loadJob(join(folder, 'job.yaml'), { environment: {} });
    const { ca, cert, key } = job.apis['crm']!.tls!;
    assert.equal(ca, files['ca.pem']);
    assert.equal(cert, files['client.pem']);
    assert.equal(key?.reveal().trim(), files['client.key'].trim());
    assert.deepEqual(secretsOf(job), [key?.reveal()]);
    assert.doesNotMatch(inspect(job, { depth: 9 }) + JSON.stringify(job), /PRIVATE KEY/);
  });
});

test('a key may stand in a variable, and an authority alone is enough', async () => {
  await inFolder({ ...files, 'job.yaml': withTls('{ cert: client.pem, key: { env: KEY } }') }, async (folder) => {
    const job = await loadJob(join(folder, 'job.yaml'), { environment: { KEY: files['client.key'] } });
    assert.equal(job.apis['crm']!.tls?.key?.reveal(), files['client.key']);
  });
  await inFolder({ ...files, 'job.yaml': withTls('{ ca: ca.pem }') }, async (folder) => {
    assert.ok((await loadJob(join(folder, 'job.yaml'), { environment: {} })).apis['crm']!.tls?.ca);
  });
});

const refusals: [name: string, tls: string, path: string, message: RegExp][] = [
  ['a file that is not there', '{ ca: nowhere.pem }', 'tls.ca', /there is no file .*nowhere\.pem; paths are relative/],
  ['a folder', '{ ca: . }', 'tls.ca', /cannot be read \(EISDIR\)/],
  ['no PEM', '{ ca: binary.der }', 'tls.ca', /expected certificates as PEM text \(-----BEGIN CERTIFICATE-----\)/],
  ['a key for a certificate', '{ ca: client.key }', 'tls.ca', /expected certificates as PEM text/],
  ['a broken certificate', '{ ca: nonsense.pem }', 'tls.ca', /perhaps truncated; export them again/],
  [
    'a certificate for a key',
    '{ cert: client.pem, key: { file: ca.pem } }',
    'tls.key.file',
    /expected a private key as PEM/,
  ],
  ['a key that is not there', '{ cert: client.pem, key: { file: no.key } }', 'tls.key.file', /there is no file/],
  ['a locked key', '{ cert: client.pem, key: { file: locked.key } }', 'tls.key.file', /encrypted.*openssl pkey -in/],
  [
    'a key that does not fit',
    '{ cert: client.pem, key: { file: other.key } }',
    'tls.key',
    /does not belong to the cert/,
  ],
  ['a certificate without its key', '{ cert: client.pem }', 'tls.cert', /only together with key/],
  ['a key without its certificate', '{ key: { file: client.key } }', 'tls.key', /only together with cert/],
  ['a key written out', '{ cert: client.pem, key: client.key }', 'tls.key', /expected a secret as \{ env: NAME \}/],
  ['nothing', '{}', 'tls', /expected ca, or cert and key/],
];

for (const [name, tls, path, message] of refusals)
  test(`tls with ${name} is refused with the place and what to do`, async () => {
    await inFolder({ ...files, 'job.yaml': withTls(tls) }, async (folder) => {
      await assert.rejects(loadJob(join(folder, 'job.yaml'), { environment: {} }), (error: Error) => {
        assert.ok(error instanceof JobFileError, String(error));
        assert.deepEqual(
          error.problems.map((problem) => [problem.line, problem.path]),
          [[5, `apis.crm.${path}`]],
          error.message,
        );
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /MIIB|MIGH/);
        return true;
      });
    });
  });

test('a key that others may read is refused, and so is tls where the address is http', async () => {
  const client = '{ cert: client.pem, key: { file: client.key } }';
  await inFolder({ ...files, 'job.yaml': withTls(client) }, async (folder) => {
    await chmod(join(folder, 'client.key'), 0o644);
    await assert.rejects(loadJob(join(folder, 'job.yaml'), { environment: {} }), /chmod 600 .*client\.key/);
  });
  await inFolder(
    { ...files, 'job.yaml': withTls('{ ca: ca.pem }').replace('https://crm', 'http://crm') },
    async (folder) => {
      await assert.rejects(loadJob(join(folder, 'job.yaml'), { environment: {} }), /tls applies only with https/);
    },
  );
});

test('an unknown part of tls is named', async () => {
  assert.match((await refusal(withTls('{ cacert: ca.pem }'))).message, /cacert/);
});
