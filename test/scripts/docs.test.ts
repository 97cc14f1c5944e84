import assert from 'node:assert/strict';
import { access, cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import { parse } from 'yaml';
import { fillPage, partsOf, requireParts } from '../../scripts/docs/page.ts';
import { generate } from '../../scripts/docs/generate.ts';
import { ledgerPage } from '../../scripts/docs/ledger.ts';
import { requireTrueWay } from '../../scripts/docs/drawing.ts';
import type { Step } from '../../scripts/docs/way-of-a-key.ts';
import { reportSchema } from '../../src/report/schema.ts';
import { createDatabase } from '../support/database.ts';

const checkout = new URL('../../', import.meta.url);
const read = async (file: string): Promise<string> => readFile(new URL(file, checkout), 'utf8');
const blocks = (page: string, language: string): string[] =>
  [...page.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].map(([, text]) => text!);

/** What is generated, in a folder of its own. */
async function copyOfGenerated(t: TestContext): Promise<URL> {
  const folder = await mkdtemp(path.join(tmpdir(), 'nightfill-docs-'));
  t.after(async () => rm(folder, { recursive: true }));
  for (const name of ['docs', 'schema'])
    await cp(new URL(name, checkout), path.join(folder, name), { recursive: true });
  return pathToFileURL(`${folder}/`);
}

/** Whether `value`, which need not be complete, fits the JSON Schema in `file`. */
async function partChecker(file: string): Promise<(value: unknown) => string> {
  const schema = JSON.parse(await read(file), (key, value: unknown) => (key === 'required' ? undefined : value));
  const ajv = new Ajv({ allErrors: true, allowUnionTypes: true });
  addFormats.default(ajv);
  const validate = ajv.compile(schema as object);
  return (value) => (validate(value) ? '' : JSON.stringify(validate.errors));
}

test('what is generated is current', async () => {
  assert.deepEqual(await generate(checkout, { check: true }), []);
});

test('the guide explains each type of control that a report can have', async () => {
  const guide = await read('docs/guide/report.md');
  const types = reportSchema.shape.controls.element.shape.type.options;
  assert.deepEqual(
    types.filter((type) => type !== 'stale' && !guide.includes(`| \`${type}\` |`)),
    [],
  );
});

test('every file and folder that CONTRIBUTING.md names is there', async () => {
  const named = [
    ...(await read('CONTRIBUTING.md')).matchAll(/[`("]((?:src|test|docs|scripts|bench)\/[\w./-]+)(?=[`)#" ])/g),
  ];
  const gone: string[] = [];
  for (const [, name] of named) await access(new URL(name!, checkout)).catch(() => gone.push(name!));
  assert.ok(named.length > 40, 'names are found where there are any');
  assert.deepEqual(gone, []);
});

test('a schema that was changed by hand, and a page that was, are found and written anew', async (t) => {
  const root = await copyOfGenerated(t);
  const page = new URL('docs/reference/job-file.md', root);
  await writeFile(page, (await readFile(page, 'utf8')).replace('| `500` |', '| `600` |'));
  await writeFile(new URL('schema/job.schema.json', root), '{}');
  const changed = ['schema/job.schema.json', 'docs/reference/job-file.md'];
  assert.deepEqual(await generate(root, { check: true }), changed);
  assert.deepEqual(await generate(root, { check: false }), changed);
  assert.deepEqual(await generate(root, { check: true }), []);
  assert.equal(await readFile(page, 'utf8'), await read('docs/reference/job-file.md'));
});

test('a table of the ledger that was changed by hand is found without a database', async (t) => {
  const root = await copyOfGenerated(t);
  const page = new URL('docs/reference/ledger.md', root);
  await writeFile(
    page,
    (await readFile(page, 'utf8')).replace('| `duplicates` | integer |', '| `duplicates` | bigint |'),
  );
  assert.deepEqual(await generate(root, { check: true }), ['docs/reference/ledger.md']);
});

test('the page of the ledger says what a migrated database says, and its queries run there', async (t) => {
  const { database } = await createDatabase(t);
  const page = await read('docs/reference/ledger.md');
  assert.equal(await ledgerPage(page, database), page);
  const queries = blocks(page, 'sql');
  assert.ok(queries.length > 5);
  for (const query of queries) await database.query(query);
});

test('the examples of the job file and of the report fit their schemas', async () => {
  for (const [page, language, schema] of [
    ['docs/reference/job-file.md', 'yaml', 'schema/job.schema.json'],
    ['docs/reference/report.md', 'json', 'schema/report.schema.json'],
  ] as const) {
    const problem = await partChecker(schema);
    const examples = blocks(await read(page), language);
    assert.ok(examples.length > 8, page);
    for (const example of examples) assert.equal(problem(parse(example)), '', example);
  }
});

test('a page without a part for what there is, or with one for what is gone, is refused with what to do', () => {
  const page = '<!-- written by npm run docs: old -->\n<!-- end -->\n';
  assert.throws(
    () => requireParts('page.md', page, ['new']),
    new Error(
      'page.md has no part for new; add the lines\n<!-- written by npm run docs: new -->\n<!-- end -->\n' +
        'page.md has a part for old, which does not exist; remove it',
    ),
  );
});

test('what stands around the generated parts of a page stays', () => {
  const page = 'By hand.\n<!-- written by npm run docs: a -->\nold\n<!-- end -->\nBy hand too.\n';
  const filled = fillPage(page, (name) => `new ${name}`);
  assert.equal(filled.replace(/<!-- written[\s\S]*end -->/, '…'), 'By hand.\n…\nBy hand too.\n');
  assert.deepEqual([...partsOf(filled)], [['a', 'new a']]);
});

test('a way that no import stands behind, or that names a file that is gone, is refused', async () => {
  const start = { file: 'jobs/run/run.ts', what: 'begins' };
  const refusal = async (...way: Step[]): Promise<string> =>
    requireTrueWay([start, ...way]).then(
      () => 'none',
      (error: Error) => error.message.split('\n').at(-1)!,
    );
  const to = (file: string, from?: string): Step => ({ file, what: 'goes on', ...(from !== undefined && { from }) });
  assert.equal(await refusal(to('jobs/run/execute.ts', 'jobs/run/run.ts')), 'none');
  assert.equal(await refusal(to('jobs/gone.ts', 'jobs/run/run.ts')), 'src/jobs/gone.ts does not exist');
  assert.equal(await refusal(to('cli.ts', 'jobs/run/run.ts')), 'src/jobs/run/run.ts does not import src/cli.ts');
  assert.equal(
    await refusal(to('jobs/run/run.ts', 'jobs/run/execute.ts')),
    'src/jobs/run/execute.ts does not come before src/jobs/run/run.ts',
  );
});
