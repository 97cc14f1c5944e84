import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { Ajv } from 'ajv';
import { parse } from 'yaml';
import { emitSchemas } from '../../../src/config/schema/emit-schemas.ts';
import { starterJob } from '../../../src/config/starter-job.ts';
import { inFolder, smallJob } from '../../support/job-file.ts';

async function validator() {
  const schema: object = JSON.parse(await readFile('schema/job.schema.json', 'utf8'));
  return new Ajv({ allErrors: true, allowUnionTypes: true }).compile(schema);
}

const shipped = async () => readFile('jobs/contract-enrichment.yaml', 'utf8');

test('the shipped job file and the smallest one fit the JSON Schema', async () => {
  const validate = await validator();
  for (const text of [await shipped(), smallJob]) {
    assert.ok(validate(parse(text)), JSON.stringify(validate.errors));
  }
});

test('a bad job file does not fit it', async () => {
  const validate = await validator();
  const edits: [string, string][] = [
    ['timeout: 30s', 'timeout: 30'],
    ['timeout: 30s', 'timeout: half a minute'],
    ['timeout: 30s', 'time-out: 30s'],
    ['token: { env: CRM_TOKEN }', 'token: literal'],
    ['type: rest', 'type: soap'],
    ['requests: 100', 'requests: 0'],
    ['key: [contract_id]', 'key: []'],
    ['sum: annual_value', 'summ: annual_value'],
    ['name: contract-enrichment', 'nam: contract-enrichment'],
    ['onFailure: last-known', 'onFailure: ignore'],
  ];
  for (const [from, to] of edits) {
    const text = await shipped();
    assert.ok(text.includes(from), from);
    assert.equal(validate(parse(text.replace(from, to))), false, to);
  }
});

test('a variable fits wherever its value would', async () => {
  const validate = await validator();
  const text = (await shipped())
    .replace('timeout: 30s', 'timeout: ${TIMEOUT:30s}')
    .replace('connections: 50', 'connections: ${CONNECTIONS:50}')
    .replace('jitter: true', 'jitter: "${JITTER:true}"')
    .replace('onFailure: last-known\n    maxAge: 48h', 'onFailure: null');
  assert.ok(validate(parse(text)), JSON.stringify(validate.errors));
});

test('everything a job file may hold is described to editors', async () => {
  const schema = JSON.parse(await readFile('schema/job.schema.json', 'utf8')) as Record<string, unknown>;
  const undescribed: string[] = [];
  const walk = (node: unknown, path: string): void => {
    if (typeof node !== 'object' || node === null) return;
    const { properties, type } = node as {
      properties?: Record<string, { description?: string; const?: string }>;
      type?: string;
    };
    if (type === 'object' && properties) {
      assert.equal((node as { additionalProperties?: unknown }).additionalProperties, false, path);
      for (const [key, value] of Object.entries(properties)) {
        if (value.description === undefined && value.const === undefined) undescribed.push(`${path}.${key}`);
      }
    }
    for (const [key, value] of Object.entries(node)) walk(value, `${path}/${key}`);
  };
  walk(schema, '');
  assert.deepEqual(undescribed, []);
});

test('the JSON Schemas in the repository are current', async () => {
  assert.deepEqual(await emitSchemas('schema', { check: true }), []);
});

test('a schema that is missing or changed is found, and written', async () => {
  await inFolder({}, async (folder) => {
    assert.ok((await emitSchemas(folder, { check: true })).includes('job.schema.json'));
    assert.ok((await emitSchemas(folder, { check: false })).includes('job.schema.json'));
    assert.deepEqual(await emitSchemas(folder, { check: true }), []);
    await writeFile(join(folder, 'job.schema.json'), '{}');
    assert.deepEqual(await emitSchemas(folder, { check: true }), ['job.schema.json']);
  });
});

test('the file to start from is the shipped one, with the schema where its editor finds it', async () => {
  const starter = await starterJob('./node_modules/nightfill/schema/job.schema.json');
  assert.equal(
    starter.split('\n')[0],
    '# yaml-language-server: $schema=./node_modules/nightfill/schema/job.schema.json',
  );
  assert.deepEqual(parse(starter), parse(await shipped()));
});
