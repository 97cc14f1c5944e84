import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = new URL('../../', import.meta.url);
const fixtures = 'test/fixtures/async-mistakes';

interface Diagnostic {
  /** `plugin(rule)` */
  code: string;
  filename: string;
  labels: { span: { line: number } }[];
}

/**
 * What the linter finds in the fixtures, as `file:line rule`. Their configuration only extends the project's own, whose
 * `ignorePatterns` keep the fixtures out of the normal run; under the usual name the linter would obey it there too.
 */
async function found(): Promise<string[]> {
  const linter = fileURLToPath(new URL('node_modules/oxlint/bin/oxlint', root));
  const asked = ['--type-aware', '--format', 'json', '-c', `${fixtures}/oxlint-here.json`, fixtures];
  const output = await new Promise<string>((resolve, reject) => {
    // It exits 1 because it finds something; anything else is no JSON.
    execFile(process.execPath, [linter, ...asked], { cwd: fileURLToPath(root) }, (error, stdout) => {
      if (stdout === '') reject(error ?? new Error('the linter said nothing'));
      else resolve(stdout);
    });
  });
  const { diagnostics } = JSON.parse(output) as { diagnostics: Diagnostic[] };
  return diagnostics.map(({ code, filename, labels }) => {
    const [, plugin, rule] = /^(.+)\((.+)\)$/.exec(code) ?? [];
    return `${filename.slice(filename.lastIndexOf('/') + 1)}:${labels[0]?.span.line} ${plugin}/${rule}`;
  });
}

/** The lines that say by which rules they are caught. */
async function marked(): Promise<string[]> {
  const marks: string[] = [];
  for (const file of await readdir(new URL(fixtures, root))) {
    if (!file.endsWith('.ts')) continue;
    const text = await readFile(new URL(`${fixtures}/${file}`, root), 'utf8');
    for (const [index, line] of text.split('\n').entries()) {
      const [, rules] = /\/\/ caught by (.+)$/.exec(line) ?? [];
      for (const rule of rules?.split(', ') ?? []) marks.push(`${file}:${index + 1} ${rule}`);
    }
  }
  return marks;
}

test('each classic mistake with promises is caught by the rule it is marked with, and nothing else is', async () => {
  const marks = await marked();
  assert.deepEqual((await found()).toSorted(), marks.toSorted());
  const caughtBy = new Set(marks.map((mark) => mark.split(' ')[1]));
  for (const rule of [
    'typescript/no-floating-promises',
    'typescript/no-misused-promises',
    'eslint/no-await-in-loop',
    'typescript/return-await',
    'eslint/no-restricted-globals',
    'eslint/no-restricted-imports',
  ]) {
    assert.ok(caughtBy.has(rule), `${rule} has a mistake to catch`);
  }
});

test('an exception stands in the source beside what it excuses, and gives its reason', async () => {
  const text = await readFile(new URL('.oxlintrc.json', root), 'utf8');
  // Comments stand on lines of their own.
  const { overrides } = JSON.parse(text.replaceAll(/^\s*\/\/.*$/gm, '')) as { overrides: { files: string[] }[] };
  const inSources = overrides.flatMap(({ files }) => files).filter((file) => file.startsWith('src'));
  assert.deepEqual(inSources, []);
  const sources = await readdir(new URL('src', root), { recursive: true });
  const without: string[] = [];
  for (const file of sources.filter((name) => name.endsWith('.ts'))) {
    const source = await readFile(new URL(`src/${file}`, root), 'utf8');
    for (const [comment] of source.matchAll(/oxlint-disable.*/g)) if (!/ -- \w/.test(comment)) without.push(file);
  }
  assert.deepEqual(without, []);
});
