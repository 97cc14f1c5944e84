import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { initCommand, schemaReference } from '../../src/commands/init.ts';

test('a job file names its schema by a path that holds for everyone who has the project', () => {
  const installed = '/home/ann/night/node_modules/nightfill/schema/job.schema.json';
  const here = 'node_modules/nightfill/schema/job.schema.json';
  assert.equal(schemaReference('/home/ann/night', installed), `./${here}`);
  assert.equal(schemaReference('/home/ann/night/jobs/eu', installed), `../../${here}`);
  // From a checkout.
  assert.equal(
    schemaReference('/work/nightfill/jobs', '/work/nightfill/schema/job.schema.json'),
    '../schema/job.schema.json',
  );
});

test('from a global install a job file names its schema by the whole path', async (t) => {
  const installed = '/usr/lib/node_modules/nightfill/schema/job.schema.json';
  for (const folder of ['/home/ann/night', '/usr/library', '/'])
    assert.equal(schemaReference(folder, installed), installed);
  const folder = await mkdtemp(path.join(tmpdir(), 'nightfill-init-'));
  t.after(async () => rm(folder, { recursive: true }));
  const terminal = { stdout: new PassThrough(), directory: process.cwd() };
  assert.equal(await initCommand(folder, terminal), 0);
  const [first] = (await readFile(path.join(folder, 'contract-enrichment.yaml'), 'utf8')).split('\n');
  const whole = path.resolve(import.meta.dirname, '../../schema/job.schema.json');
  assert.equal(first, `# yaml-language-server: $schema=${whole}`);
});
