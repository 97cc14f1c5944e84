import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { FileLock } from '../../../src/sinks/embedded/file-lock.ts';

const folder = await mkdtemp(path.join(tmpdir(), 'nightfill-lock-'));
test.after(async () => rm(folder, { recursive: true }));
let files = 0;
const newFile = (): string => path.join(folder, `${files++}.lock`);

void test('who holds a file alone keeps everybody out until released', () => {
  const file = newFile();
  const holder = FileLock.tryExclusive(file);
  assert.ok(holder);
  assert.equal(FileLock.tryExclusive(file), undefined);
  assert.equal(FileLock.tryShared(file), undefined);
  holder[Symbol.dispose]();
  holder[Symbol.dispose]();
  using next = FileLock.tryExclusive(file);
  assert.ok(next);
});

void test('who shares a file keeps out only who wants it alone', () => {
  const file = newFile();
  const one = FileLock.tryShared(file);
  using two = FileLock.tryShared(file);
  assert.ok(one && two);
  assert.equal(FileLock.tryExclusive(file), undefined);
  one[Symbol.dispose]();
  assert.equal(FileLock.tryExclusive(file), undefined);
});

void test('waiting ends when the holder releases', async () => {
  const file = newFile();
  const holder = FileLock.tryExclusive(file);
  setTimeout(() => holder?.[Symbol.dispose](), 100);
  using lock = await FileLock.wait(() => FileLock.tryExclusive(file));
  assert.ok(lock);
});

for (const kind of ['tryExclusive', 'tryShared'] as const) {
  void test(`a process that is killed lets go of what it held by ${kind}`, async () => {
    const file = newFile();
    const source = `
      import { FileLock } from ${JSON.stringify(import.meta.resolve('../../../src/sinks/embedded/file-lock.ts'))};
      globalThis.lock = FileLock.${kind}(${JSON.stringify(file)});
      process.stdout.write('held');
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    assert.equal(FileLock.tryExclusive(file), undefined);
    child.kill('SIGKILL');
    await once(child, 'exit');
    using lock = FileLock.tryExclusive(file);
    assert.ok(lock);
  });
}

void test('a folder that is missing is an error, not a lock that is taken', () => {
  assert.throws(() => FileLock.tryExclusive(path.join(folder, 'absent', 'x.lock')), /unable to open/);
});
