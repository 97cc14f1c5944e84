import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const example = new URL('../../examples/another-batch-job.ts', import.meta.url);

test('the example of another batch job loads everything but what does not exist, within its limit', async () => {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [fileURLToPath(example)]);
  assert.deepEqual(stdout.trimEnd().split('\n'), [
    `299 prices, ${(300 * 301) / 2 - 13} cents in all`,
    '1 failed: product 13: the server answered 404',
    'at most 100 requests were sent in any second, breaker closed',
  ]);
  assert.equal(stderr, '');
});

test('the guide shows the policies as the example has them', async () => {
  const guide = await readFile(new URL('../../docs/guide/resilience.md', import.meta.url), 'utf8');
  const code = await readFile(example, 'utf8');
  const [shown] = /(?<=```ts\n)const protect = stack\([\s\S]+?\n\);/.exec(guide) ?? [];
  assert.ok(shown, 'the guide shows the stack');
  assert.ok(code.includes(shown));
});
