import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { circlesOf, readSources } from '../../scripts/imports.ts';

test('imports are found however they are written, and circles of types as well', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'nightfill-imports-'));
  t.after(async () => rm(folder, { recursive: true }));
  const files = {
    'a.ts': `import { b } from './b.ts';\nimport pg from 'pg';\nexport const a = b;\n`,
    'b.ts': `import {\n  type C,\n  d as e,\n} from './c.ts';\nexport const b = e;\n`,
    'c.ts': `import type { A } from './a.ts';\nexport * from './d.ts';\nexport type C = A;\n`,
    'd.ts': `export const d = async () => import('./e.ts');\n`,
    'e.ts': `export const e = './a.ts';\n`,
  };
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(folder, name), text);
  const sources = await readSources(folder);
  const found = [...sources.values()].map(({ path: file, imports }) => [file, [...imports]]);
  assert.deepEqual(found, [
    ['a.ts', ['b.ts']],
    ['b.ts', ['c.ts']],
    ['c.ts', ['a.ts', 'd.ts']],
    ['d.ts', ['e.ts']],
    ['e.ts', []],
  ]);
  assert.deepEqual(circlesOf(sources), [['a.ts', 'b.ts', 'c.ts']]);
});
