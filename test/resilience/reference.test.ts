import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

const read = async (path: string): Promise<string> => readFile(new URL(`../../${path}`, import.meta.url), 'utf8');

test('the reference names every export of nightfill/resilience', async () => {
  const index = await read('src/resilience/index.ts');
  const reference = await read('docs/reference/resilience.md');
  const names = [...index.matchAll(/export (?:type )?\{([^}]*)\}/g)].flatMap(([, list = '']) =>
    list.split(',').map((name) => name.replace('type ', '').trim()),
  );
  const exported = names.filter((name) => name !== '');
  assert.ok(exported.length > 50);
  const code = [...reference.matchAll(/`[^`\n]+`/g)].join(' ');
  assert.deepEqual(
    exported.filter((name) => !new RegExp(`\\b${name}\\b`).test(code)),
    [],
  );
});

test('what the package exports under nightfill/resilience imports nothing but Node and its own folder', async () => {
  const index = await read('src/resilience/index.ts');
  const files = [...index.matchAll(/from '\.\/([^']+)'/g)].map(([, file]) => file ?? '');
  const seen = new Set(files);
  for (const file of seen) {
    const text = await read(`src/resilience/${file}`);
    for (const [, source = ''] of text.matchAll(/\b(?:from|import)\s*\(?'([^']+)'/g)) {
      assert.match(source, /^(?:node:|\.\/[a-z-]+\.ts$)/, `${file} imports ${source}`);
      if (source.startsWith('./')) seen.add(source.slice(2));
    }
  }
});
