import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { UsageError } from '../../resilience/failure.ts';

/**
 * The account under which the server's programs run:
 * - `self`: as the user who runs nightfill;
 * - `namespace`: in a user namespace of their own, where root is an ordinary user; files still belong to root;
 * - `other`: as another user of this machine, for root where user namespaces are forbidden.
 */
export type ServerAccount = { kind: 'self' } | { kind: 'namespace' } | { kind: 'other'; uid: number; gid: number };

export interface ProgramResult {
  exitCode: number;
  output: string;
}

/**
 * The account under which the server can run here: PostgreSQL refuses root, initdb refuses a user without a name, and the
 * server refuses data that another user owns.
 */
export async function chooseAccount({ dataDirectory }: { dataDirectory?: string } = {}): Promise<ServerAccount> {
  const uid = process.geteuid?.();
  if (uid === undefined || (uid !== 0 && hasName())) return { kind: 'self' };
  const data = dataDirectory === undefined ? undefined : await stat(dataDirectory).catch(() => undefined);
  if (uid === 0 && data && data.uid !== 0) return { kind: 'other', uid: data.uid, gid: data.gid };
  if (await namespacesWork()) return { kind: 'namespace' };
  if (uid === 0) return unprivilegedAccount();
  return { kind: 'self' };
}

/** An ordinary user of this machine, for root where user namespaces are forbidden. */
export function unprivilegedAccount(): ServerAccount {
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = users.find(([user]) => user === name) ?? [];
    if (uid && gid) return { kind: 'other', uid: Number(uid), gid: Number(gid) };
  }
  throw new UsageError(
    'PostgreSQL refuses to run as root, user namespaces are forbidden here, and this machine has no user "postgres" or "nobody": ' +
      'run nightfill as an ordinary user, or give a database with --database-url',
    { code: 'EMBEDDED_POSTGRES_ROOT' },
  );
}

function hasName(): boolean {
  try {
    return userInfo().username !== '';
  } catch {
    return false;
  }
}

async function namespacesWork(): Promise<boolean> {
  const tried = await runProgram({ kind: 'namespace' }, 'true', []).catch(() => undefined);
  return tried?.exitCode === 0;
}

/** Runs a program to its end under `account`; resolves with its exit code and everything it printed. */
export async function runProgram(
  account: ServerAccount,
  program: string,
  args: readonly string[],
  { input = '' }: { input?: string } = {},
): Promise<ProgramResult> {
  const [command, ...rest] = account.kind === 'namespace' ? ['unshare', '-U', program, ...args] : [program, ...args];
  const child = spawn(command ?? program, rest, {
    // In a session of its own, because Ctrl-C in our terminal must not stop a server that others may use.
    detached: process.platform !== 'win32',
    windowsHide: true,
    cwd: '/',
    env: serverEnvironment(),
    ...(account.kind === 'other' ? { uid: account.uid, gid: account.gid } : {}),
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  child.stdin.on('error', () => {}).end(input);
  const { promise, resolve, reject } = Promise.withResolvers<ProgramResult>();
  child.on('error', reject);
  // Not 'close', because a server that keeps running may hold the pipes open.
  child.on('exit', (code, signal) => {
    // A Ctrl-C between fork and setsid, while the child was still in our session and had not started.
    if (signal === 'SIGINT' && output === '') return resolve(runProgram(account, program, args, { input }));
    // First reads what is already in the pipes.
    setImmediate(() => {
      for (const stream of [child.stdout, child.stderr]) stream.destroy();
      resolve({ exitCode: code ?? -1, output });
    });
  });
  return promise;
}

// Without PG* variables, which are meant for another server: PGDATA, PGPORT and PGOPTIONS would change ours.
function serverEnvironment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('PG') && !name.startsWith('LC_'));
  return { ...Object.fromEntries(own), LC_ALL: 'C', TZ: 'UTC' };
}
