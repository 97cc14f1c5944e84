import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';

const run = promisify(execFile);
const checkout = path.resolve(import.meta.dirname, '..');
const read = async (file: string): Promise<string> => readFile(path.join(checkout, file), 'utf8');

const project = await mkdtemp(path.join(tmpdir(), 'nightfill-package-'));
after(async () => rm(project, { recursive: true }));
const packages = path.join(project, 'node_modules');
const tsc = path.join(path.dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');

/** What the compiler says about the files of `project`, nothing when all is well. */
async function compile(...options: string[]): Promise<string> {
  const outcome = await run(process.execPath, [tsc, ...options], { cwd: project }).catch((error: unknown) => error);
  return (outcome as { stdout: string }).stdout;
}

/** Makes `project` one that has installed the package and nothing else: with what it depends on, and no development dependency. */
async function install(): Promise<void> {
  const lock = JSON.parse(await read('package-lock.json')) as { packages: Record<string, { dev?: boolean }> };
  const installed = Object.entries(lock.packages)
    .filter(([at, { dev }]) => /^node_modules\/(?:@[^/]+\/)?[^/]+$/.test(at) && !dev)
    .map(([at]) => at.slice('node_modules/'.length));
  await mkdir(path.join(packages, 'nightfill'), { recursive: true });
  await writeFile(path.join(packages, 'nightfill', 'package.json'), await read('package.json'));
  for (const name of installed) {
    await mkdir(path.dirname(path.join(packages, name)), { recursive: true });
    await symlink(path.join(checkout, 'node_modules', name), path.join(packages, name));
  }
  const dist = path.join(packages, 'nightfill', 'dist');
  assert.equal(await compile('-p', path.join(checkout, 'tsconfig.build.json'), '--outDir', dist), '');
}

test('the package compiles strictly where nothing but it is installed, and so does every example of the guide', async () => {
  await install();
  const guide = await read('docs/guide/typescript.md');
  const examples = [...guide.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code!);
  assert.ok(examples.length >= 5);
  for (const [index, code] of examples.entries()) await writeFile(path.join(project, `example-${index}.mts`), code);
  const files = examples.map((_, index) => `example-${index}.mts`);
  const strict = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--module', 'nodenext', ...files];
  assert.equal(await compile(...strict, '--target', 'es2022', '--skipLibCheck', 'false'), '');
  // An old library, and no DOM: what disposables are must come with the package.
  assert.equal(await compile(...strict, '--target', 'es2022', '--lib', 'es2022', '--skipLibCheck'), '');
});

test('the package ships what it needs and its documentation, and no sources', async () => {
  const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: checkout });
  const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }];
  const shipped = new Set(files.map(({ path: at }) => at));
  const wanted = ['bin/nightfill.js', 'jobs/contract-enrichment.yaml', 'schema/job.schema.json', 'sql/0001_ledger.sql'];
  for (const file of [...wanted, 'docs/guide/getting-started.md', 'docs/reference/job-file.md', 'README.md', 'LICENSE'])
    assert.ok(shipped.has(file), file);
  assert.deepEqual(
    [...shipped].filter((file) => /^(?:src|test|bench)\//.test(file)),
    [],
  );
});

test('an old Node.js is refused with what to do, in a project and in a checkout', async () => {
  const old = `data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'20.20.2'}})`;
  const refusal = async (bin: string): Promise<{ code: number; stderr: string }> =>
    (await run(process.execPath, ['--import', old, bin, 'runs']).catch((error: unknown) => error)) as never;
  const bin = path.join(project, 'bin', 'nightfill.js');
  await mkdir(path.dirname(bin), { recursive: true });
  await writeFile(path.join(project, 'package.json'), '{ "type": "module" }');
  await writeFile(bin, await read('bin/nightfill.js'));
  const installed = await refusal(bin);
  assert.equal(installed.code, 2);
  assert.match(
    installed.stderr,
    /^nightfill needs Node\.js 24 or newer, and this is 20\.20\.2\. .*`npm install node@24`.*\n$/,
  );
  const inCheckout = await refusal(path.join(checkout, 'bin', 'nightfill.js'));
  assert.match(inCheckout.stderr, /In this checkout, `npx nightfill` runs it/);
});
