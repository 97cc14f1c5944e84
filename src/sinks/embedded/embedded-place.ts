import { createHash } from 'node:crypto';
import {
  access,
  chmod,
  chown,
  cp,
  mkdir,
  mkdtemp,
  readlink,
  realpath,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { runProgram, type ServerAccount } from './embedded-account.ts';
import { binariesIn, findPostgresBinaries, type PostgresBinaries } from './embedded-binaries.ts';
import type { Cluster } from './embedded-cluster.ts';

/**
 * The cluster of `folder`, at a place that `account` can reach: the folder itself, unless another user may not enter its
 * parents or node_modules. Then data and programs are `elsewhere`, and `folder/data` is a link to there.
 */
export async function placeCluster(
  folder: string,
  account: ServerAccount,
  { elsewhere = '/var/lib/nightfill' }: { elsewhere?: string } = {},
): Promise<Cluster> {
  const binaries = await findPostgresBinaries();
  const data = path.join(folder, 'data');
  if (account.kind !== 'other') {
    // A link that an earlier run made leads to where the data is.
    const dataDirectory = await realpath(data).catch(() => data);
    return { binaries, account, dataDirectory, logFile: path.join(folder, 'server.log') };
  }
  // May be entered, not listed; the password is in a file of mode 0600.
  await chmod(folder, 0o711);
  const linked = await readlink(data).catch(() => undefined);
  const here = linked === undefined && (await canRun(account, 'test', ['-x', folder]));
  const place = here ? folder : await linkTo(elsewhere, folder);
  const logFile = path.join(place, 'server.log');
  await writeFile(logFile, '', { flag: 'a', mode: 0o600 });
  await chown(logFile, account.uid, account.gid);
  const reachable = await canRun(account, binaries.postgres, ['--version']);
  return {
    binaries: reachable ? binaries : binariesIn(await copyPrograms(binaries, elsewhere), binaries.version),
    account,
    dataDirectory: path.join(place, 'data'),
    logFile,
  };
}

/** The addition to the log about the account; empty for the user's own. */
export function describePlace({ account, dataDirectory }: Cluster): string {
  switch (account.kind) {
    case 'self':
      return '';
    case 'namespace':
      return ', in a user namespace because PostgreSQL refuses root';
    case 'other':
      return `, as user id ${account.uid} with its data in ${dataDirectory}, because PostgreSQL refuses root`;
    default:
      return account satisfies never;
  }
}

async function canRun(account: ServerAccount, program: string, args: readonly string[]): Promise<boolean> {
  return runProgram(account, program, args).then(
    ({ exitCode }) => exitCode === 0,
    () => false,
  );
}

async function linkTo(elsewhere: string, folder: string): Promise<string> {
  const place = path.join(elsewhere, createHash('sha256').update(folder).digest('hex').slice(0, 16));
  await mkdir(place, { recursive: true, mode: 0o755 });
  await rm(path.join(folder, 'data'), { force: true });
  await symlink(path.join(place, 'data'), path.join(folder, 'data'));
  return place;
}

/** Copies the programs once per version, atomically; resolves with the copy's folder. */
async function copyPrograms(binaries: PostgresBinaries, elsewhere: string): Promise<string> {
  const copy = path.join(elsewhere, `postgres-${binaries.version}`);
  if (
    await access(copy).then(
      () => true,
      () => false,
    )
  )
    return copy;
  await mkdir(elsewhere, { recursive: true, mode: 0o755 });
  const draft = await mkdtemp(path.join(elsewhere, 'unfinished-'));
  await chmod(draft, 0o755);
  await cp(binaries.root, path.join(draft, 'native'), { recursive: true, verbatimSymlinks: true });
  await rename(path.join(draft, 'native'), copy);
  await rm(draft, { recursive: true });
  return copy;
}
