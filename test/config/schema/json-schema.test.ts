import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { Ajv } from 'ajv';
import { parse } from 'yaml';
import { starterJob } from '../../../src/config/starter-job.ts';
import { smallJob } from '../../support/job-file.ts';

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

test('everything a job file or a report may hold is described', async () => {
  const undescribed: string[] = [];
  const walk = (node: unknown, path: string): void => {
    if (typeof node !== 'object' || node === null) return;
    const { properties, type } = node as { properties?: Record<string, { description?: string }>; type?: string };
    if (type === 'object' && properties) {
      assert.equal((node as { additionalProperties?: unknown }).additionalProperties, false, path);
      for (const [key, value] of Object.entries(properties))
        if (value.description === undefined) undescribed.push(`${path}.${key}`);
    }
    for (const [key, value] of Object.entries(node)) walk(value, `${path}/${key}`);
  };
  for (const file of ['schema/job.schema.json', 'schema/report.schema.json'])
    walk(JSON.parse(await readFile(file, 'utf8')), file);
  assert.deepEqual(undescribed, []);
});

test('the file to start from is the shipped one, with the schema where its editor finds it', async () => {
  const starter = await starterJob('./node_modules/nightfill/schema/job.schema.json');
  assert.equal(
    starter.split('\n')[0],
    '# yaml-language-server: $schema=./node_modules/nightfill/schema/job.schema.json',
  );
  assert.deepEqual(parse(starter), parse(await shipped()));
});
