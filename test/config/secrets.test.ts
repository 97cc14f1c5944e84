import { chmod, mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { JobFileError } from '../../src/config/yaml/job-file-error.ts';
import { loadJob } from '../../src/config/load-job.ts';
import type { AuthOptions } from '../../src/sources/api/api-options.ts';
import { environment, inFolder, load, refusal, smallJob } from '../support/job-file.ts';

const withAuth = (auth: string) => smallJob.replace('type: rest', `type: rest\n    auth: ${auth}`);
const hush = 'hush-4711';

const tokenOf = (auth: AuthOptions | undefined) => (auth?.type === 'bearer' ? auth.token.reveal() : undefined);

/** The one problem of a job whose token stands in a file. */
async function fileRefusal(folder: string): Promise<string> {
  try {
    await loadJob(join(folder, 'job.yaml'), { environment });
  } catch (error) {
    assert.ok(error instanceof JobFileError);
    assert.equal(error.problems.length, 1, error.message);
    assert.deepEqual([error.problems[0]!.line, error.problems[0]!.path], [5, 'apis.crm.auth.token.file']);
    assert.ok(!error.message.includes(hush));
    return error.problems[0]!.message;
  }
  throw new Error('the job file was taken');
}

test('every kind of authentication gets its secret from the environment', async () => {
  const reveal = async (auth: string) => {
    const job = await load(withAuth(auth), { environment: { S: hush } });
    return job.apis['crm']!.auth;
  };
  const bearer = await reveal('{ type: bearer, token: { env: S } }');
  const header = await reveal('{ type: header, name: x-api-key, value: { env: S } }');
  const basic = await reveal('{ type: basic, username: me, password: { env: S } }');
  const oauth2 = await reveal(
    '{ type: oauth2, tokenUrl: https://id.example/token, clientId: me, clientSecret: { env: S }, scope: read all }',
  );
  assert.equal(bearer.type === 'bearer' && bearer.token.reveal(), hush);
  assert.equal(header.type === 'header' && header.value.reveal(), hush);
  assert.equal(basic.type === 'basic' && basic.password.reveal(), hush);
  assert.equal(oauth2.type === 'oauth2' && oauth2.clientSecret.reveal(), hush);
  assert.equal(oauth2.type === 'oauth2' && oauth2.tokenUrl, 'https://id.example/token');
});

test('a secret in a file stands relative to the job file, without its last line break', async () => {
  const files = { 'job.yaml': withAuth('{ type: bearer, token: { file: token } }'), token: `${hush}\r\n` };
  await inFolder(files, async (folder) => {
    const job = await loadJob(join(folder, 'job.yaml'), { environment });
    assert.equal(tokenOf(job.apis['crm']?.auth), hush);
    await symlink(join(folder, 'token'), join(folder, 'link'));
  });
});

test('a secret file that others may read is refused, with what to run', async () => {
  const files = { 'job.yaml': withAuth('{ type: bearer, token: { file: token } }'), token: hush };
  await inFolder(files, async (folder) => {
    for (const mode of [0o640, 0o604, 0o644]) {
      await chmod(join(folder, 'token'), mode);
      assert.match(await fileRefusal(folder), new RegExp(`has mode 0${mode.toString(8)}; run: chmod 600 .*token`));
    }
    await chmod(join(folder, 'token'), 0o400);
    await loadJob(join(folder, 'job.yaml'), { environment });
  });
});

test('a secret file that is missing, a directory, empty or of several lines is refused', async () => {
  const job = withAuth('{ type: bearer, token: { file: token } }');
  await inFolder({ 'job.yaml': job }, async (folder) => {
    assert.match(await fileRefusal(folder), /there is no file .*token; paths are relative to the job file/);
    await mkdir(join(folder, 'token'));
    assert.match(await fileRefusal(folder), /expected a file at .*token, got something else/);
  });
  await inFolder({ 'job.yaml': job, token: '\n' }, async (folder) => {
    assert.match(await fileRefusal(folder), /token is empty/);
  });
  await inFolder({ 'job.yaml': job, token: `${hush}\nmore\n` }, async (folder) => {
    assert.match(await fileRefusal(folder), /token holds a line break/);
  });
});

test('an environment variable that is not set or empty is named', async () => {
  const text = withAuth('{ type: bearer, token: { env: CRM_SECRET } }');
  const missing = await refusal(text, { environment: {} });
  assert.deepEqual([missing.problems[0]!.line, missing.problems[0]!.column], [5, 41]);
  assert.match(missing.message, /the environment variable CRM_SECRET is not set/);
  const empty = await refusal(text, { environment: { CRM_SECRET: '' } });
  assert.match(empty.message, /the environment variable CRM_SECRET is empty/);
});

test('secrets that cannot be had are told together with everything else', async () => {
  const { problems } = await refusal(
    `${withAuth('{ type: bearer, token: { env: NOWHERE } }').replace('table: contracts', 'table: "!"')}finishBy: late\n`,
  );
  assert.deepEqual(
    problems.map(({ path }) => path),
    ['apis.crm.auth.token.env', 'load.table', 'finishBy'],
  );
});

test('a secret written in the file is refused and not repeated', async () => {
  const literals = [
    `{ type: bearer, token: ${hush} }`,
    `{ type: bearer, token: [${hush}] }`,
    `{ type: bearer, token: { value: ${hush} } }`,
    `{ type: bearer, token: { env: ${hush} } }`,
    `{ type: bearer, token: { ${hush}: } }`,
    `{ type: bearer, tokn: ${hush} }`,
    `{ type: header, name: "a ${hush}", value: ${hush} }`,
    `{ type: basic, username: me, password: ${hush} }`,
    `{ type: oauth2, tokenUrl: "https://me:${hush}@id.example", clientId: me, clientSecret: ${hush} }`,
    `${hush}`,
    `[${hush}]`,
    '{ type: bearer, token: "${SECRET}" }',
  ];
  for (const literal of literals) {
    const error = await refusal(withAuth(literal), { environment: { ...environment, SECRET: hush } });
    assert.ok(!inspect(error).includes(hush), error.message);
    assert.match(error.message, /5:\d+: apis\.crm\.auth/);
  }
  const error = await refusal(withAuth(`{ type: bearer, token: ${hush} }`));
  assert.match(error.message, /expected a secret as \{ env: NAME \} or \{ file: PATH \}, never the secret itself/);
});

test('a password in an address, a header or a parameter is not repeated', async () => {
  const texts = [
    smallJob.replace('https://crm.example', `https://me:${hush}@crm.example`),
    smallJob.replace('https://crm.example', `https://crm.example?token=${hush}`),
    smallJob.replace('https://crm.example', `ftp://me:${hush}@crm.example`),
    smallJob.replace('https://crm.example', '${URL_OF_CRM}'),
    smallJob.replace('type: rest', `type: rest\n    headers: { authorization: Bearer ${hush} }`),
    smallJob.replace('type: rest', `type: rest\n    headers: { x-key: "${hush}\\n" }`),
    smallJob.replace('path: /contracts', `path: /contracts\n  query: { api_key: "${hush}{" }`),
    smallJob.replace('path: /contracts', 'path: /contracts\n  query: { x: "${URL_OF_CRM}{" }'),
    smallJob.replace('api: crm', 'api: ${URL_OF_CRM}'),
  ];
  for (const text of texts) {
    const error = await refusal(text, { environment: { URL_OF_CRM: `x ${hush}` } });
    assert.ok(!inspect(error).includes(hush), error.message);
  }
});

test('a file that does not parse is not quoted', async () => {
  for (const text of [
    `a: "${hush}`,
    `a: [${hush}`,
    `a: ${hush}: x`,
    `a: *${hush}`,
    `a: !${hush} x`,
    `${hush}\nb: 1`,
    `%${hush}\n---\n`,
  ]) {
    const error = await refusal(text);
    assert.ok(!inspect(error).includes(hush), error.message);
  }
});

test('a loaded job does not print its secrets', async () => {
  const job = await loadJob('jobs/contract-enrichment.yaml', { environment });
  for (const printed of [
    inspect(job, { depth: 20, showHidden: true }),
    JSON.stringify(job),
    String(Object.values(job.apis['crm']!.auth)),
  ]) {
    assert.ok(!printed.includes(environment.CRM_TOKEN) && !printed.includes(environment.USAGE_KEY), printed);
  }
  assert.equal(tokenOf(job.apis['crm']!.auth), environment.CRM_TOKEN);
});
