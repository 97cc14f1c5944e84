import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, normalize, relative } from 'node:path';
import { test } from 'node:test';

/** The rooms from the lowest up: a file may import its own room and those its room may look down on. */
const mayImport: Record<string, readonly string[]> = {
  resilience: [],
  sources: ['resilience'],
  sinks: ['resilience'],
  observe: ['resilience'],
  simulator: ['resilience'],
  ledger: ['resilience', 'sources', 'sinks', 'observe'],
  report: ['resilience', 'sinks', 'observe', 'ledger'],
  jobs: ['resilience', 'sources', 'sinks', 'observe', 'ledger', 'report'],
  config: ['resilience', 'sources', 'sinks', 'jobs', 'report', 'observe'],
  session: ['resilience', 'sources', 'sinks', 'observe', 'ledger', 'report', 'jobs', 'config'],
  commands: ['resilience', 'sources', 'sinks', 'observe', 'simulator', 'ledger', 'report', 'jobs', 'config', 'session'],
  cli: ['simulator', 'config', 'commands', 'session'],
};

const roomOf = (path: string): string => (path.includes('/') ? path.slice(0, path.indexOf('/')) : '');

async function importsOf(path: string): Promise<string[]> {
  const text = await readFile(new URL(`../src/${path}`, import.meta.url), 'utf8');
  const specifiers = [...text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map((match) => match[1]!);
  return specifiers.map((specifier) => normalize(join(dirname(path), specifier)));
}

test('what commands print goes through the one file that makes it harmless', async () => {
  const files = (await sourceFiles()).filter(
    (name) => ['cli', 'commands', 'session', ''].includes(roomOf(name)) && name !== 'session/terminal.ts',
  );
  const direct: string[] = [];
  for (const file of files) {
    const text = await readFile(new URL(`../src/${file}`, import.meta.url), 'utf8');
    if (/\.write\(|console\./.test(text)) direct.push(`src/${file}`);
  }
  assert.deepEqual(direct, []);
});

async function sourceFiles(): Promise<string[]> {
  const names = await readdir(new URL('../src', import.meta.url), { recursive: true });
  return names.filter((name) => name.endsWith('.ts'));
}

test('imports run one way between the rooms', async () => {
  const files = await sourceFiles();
  assert.ok(files.length > 50, 'the sources are where this test looks for them');
  const against: string[] = [];
  for (const file of files.filter((name) => roomOf(name) !== '')) {
    const room = roomOf(file);
    assert.ok(mayImport[room], `src/${room} is not a known room`);
    for (const target of await importsOf(file)) {
      // version.ts is a fact about the package, which every room may read.
      if (target === 'version.ts' || roomOf(target) === room || mayImport[room].includes(roomOf(target))) continue;
      against.push(`src/${file} imports src/${target}`);
    }
  }
  assert.deepEqual(against, []);
});

test("SQL on the ledger's tables stands in src/ledger alone", async () => {
  const sql = new URL('../sql/', import.meta.url);
  const migrations = await Promise.all((await readdir(sql)).map(async (name) => readFile(new URL(name, sql), 'utf8')));
  const tables = migrations.flatMap((text) =>
    [...text.matchAll(/CREATE TABLE nightfill\.(\w+)/g)].map(([, name]) => name!),
  );
  assert.ok(
    tables.includes('instance') && tables.includes('chunk'),
    'the migrations are where this test looks for them',
  );
  const mention = new RegExp(`\\bnightfill\\.(?:(?:${[...tables, 'migration'].join('|')})\\b|"|\\$\\{)`);
  const sources = await sourceFiles();
  const texts = await Promise.all(
    sources.map(async (name) => readFile(new URL(`../src/${name}`, import.meta.url), 'utf8')),
  );
  const mentioning = sources.filter((_, index) => mention.test(texts[index]!));
  assert.ok(mentioning.includes('ledger/instance.ts'), 'a mention is found where there is one');
  assert.deepEqual(
    mentioning.filter((name) => roomOf(name) !== 'ledger'),
    [],
  );
});

test('npm test runs every test file, each in one process', async () => {
  const here = import.meta.dirname;
  const patternsIn = async (file: string): Promise<string[]> =>
    [...(await readFile(join(here, file), 'utf8')).matchAll(/'([^' ]+\*[^' ]*\.ts)'/g)].map(([, pattern]) => pattern!);
  const own = (await patternsIn('support/run.ts')).filter((pattern) => !pattern.startsWith('test/**/*.test'));
  const alone = globSync(own, { cwd: join(here, '..') }).map((file) => relative('test', file));
  const suites = alone.filter((file) => file.startsWith('suites/'));
  const together = (await Promise.all(suites.map(patternsIn)))
    .flatMap((patterns) => patterns.flatMap((pattern) => globSync(pattern, { cwd: here })))
    .filter((file) => !file.endsWith('.alone.test.ts'));
  const run = [...alone.filter((file) => !file.startsWith('suites/')), ...together].toSorted();
  assert.deepEqual(run, globSync('**/*.test.ts', { cwd: here }).toSorted());
});
