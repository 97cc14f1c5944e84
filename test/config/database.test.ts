import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadJobHeader } from '../../src/config/load-job-header.ts';
import { loadJob } from '../../src/config/load-job.ts';
import { inFolder, load, refusal, smallJob } from '../support/job-file.ts';

const pinned = (database: string) => `database: ${database}\n${smallJob}`;
const url = 'postgres://etl:hush-4711@warehouse/night';

test('a job pins its database as embedded, by a variable or by a file', async () => {
  assert.equal((await load(smallJob)).database, undefined);
  assert.equal((await load(pinned('embedded'))).database, 'embedded');
  const { database } = await load(pinned('{ env: WAREHOUSE_URL }'), { environment: { WAREHOUSE_URL: url } });
  assert.ok(typeof database === 'object');
  assert.deepEqual([database.name, database.url.reveal()], ['WAREHOUSE_URL', url]);
  assert.doesNotMatch(JSON.stringify(database), /hush/);
  await inFolder({ 'job.yaml': pinned('{ file: url }'), url: `${url}\n` }, async (folder) => {
    const job = await loadJob(join(folder, 'job.yaml'));
    assert.ok(typeof job.database === 'object');
    assert.deepEqual([job.database.name, job.database.url.reveal()], [join(folder, 'url'), url]);
  });
});

test('a pinned database whose variable is not set or empty is a problem at its place, and nothing is fallen back to', async () => {
  for (const [environment, says] of [
    [{ DATABASE_URL: url }, /WAREHOUSE_URL is not set/],
    [{ DATABASE_URL: url, WAREHOUSE_URL: '  ' }, /WAREHOUSE_URL is empty/],
  ] as const) {
    const { problems } = await refusal(pinned('{ env: WAREHOUSE_URL }'), { environment });
    assert.deepEqual(
      problems.map(({ line, path }) => [line, path]),
      [[1, 'database.env']],
    );
    assert.match(problems[0]!.message, says);
  }
});

test('an address written out, or anything else, is refused without being repeated', async () => {
  for (const written of [url, '"${WAREHOUSE_URL}"', '[hush-4711]', '{ url: hush-4711 }', 'hush-4711', 'null']) {
    const { message, problems } = await refusal(pinned(written), { environment: { WAREHOUSE_URL: url } });
    assert.equal(problems.length, 1, message);
    assert.match(message, /\{ env: NAME \}/);
    assert.doesNotMatch(message, /hush/, written);
  }
});

test('the head of a job file is read without the credentials of its APIs', async () => {
  const text = pinned('{ env: WAREHOUSE_URL }').replace(
    'type: rest',
    'type: rest\n    auth: { type: bearer, token: { env: T } }',
  );
  await inFolder({ 'job.yaml': `${text}timezone: \${NOT_SET}\n` }, async (folder) => {
    const file = join(folder, 'job.yaml');
    const { name, database } = await loadJobHeader(file, { environment: { WAREHOUSE_URL: url } });
    assert.deepEqual([name, typeof database === 'object' && database.url.reveal()], ['small', url]);
    await assert.rejects(loadJobHeader(file, { environment: {} }), /WAREHOUSE_URL is not set/);
    await assert.rejects(loadJobHeader(join(folder, 'none.yaml'), { environment: {} }), /there is no such file/);
  });
});
