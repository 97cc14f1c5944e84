import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { startTransform } from '../../../src/jobs/enrich/transform.ts';

test('a transform that Node.js reads as CommonJS is told how to be named', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'nightfill-transform-'));
  t.after(async () => rm(folder, { recursive: true }));
  // As npm init writes it.
  await writeFile(path.join(folder, 'package.json'), '{ "name": "night", "type": "commonjs" }');
  for (const extension of ['js', 'ts']) {
    const module = path.join(folder, `rows.${extension}`);
    await writeFile(module, 'export default () => ({});');
    await assert.rejects(startTransform({ module, threads: 1 }), {
      code: 'TRANSFORM_MODULE',
      message: new RegExp(
        `rows.${extension} cannot be used: .* because ${folder}/package.json says "type": "commonjs"; name the file .m${extension} instead`,
      ),
    });
  }
  const module = path.join(folder, 'rows.mjs');
  await writeFile(module, 'export default ({ key }) => ({ key });');
  await using transform = await startTransform({ module, threads: 1 });
  assert.deepEqual(await transform.row({ key: 'a' }, t.signal), { key: 'a' });
});
