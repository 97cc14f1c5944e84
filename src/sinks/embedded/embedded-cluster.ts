import { appendFile, chown, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { retry } from '../../resilience/retry.ts';
import { runProgram, type ServerAccount } from './embedded-account.ts';
import { EmbeddedPostgresError, type PostgresBinaries } from './embedded-binaries.ts';
import { commandLineOf } from './process-command.ts';

/** A data directory and what is needed to run it. Paths are absolute. */
export interface Cluster {
  binaries: PostgresBinaries;
  account: ServerAccount;
  dataDirectory: string;
  logFile: string;
}

// Not nightfill, because a schema with the user's name comes first in the search_path.
/** The superuser and the database of every cluster made here. */
export const clusterUser = 'postgres';
export const clusterDatabase = 'nightfill';

// Long enough to replay the write-ahead log after a kill.
const startSeconds = '120';
const stopSeconds = '60';

/**
 * Creates the cluster with its database, atomically: in a folder beside `dataDirectory` that is renamed when complete.
 */
export async function createCluster(
  cluster: Cluster,
  o: { password: string; settings?: Record<string, string>; sync?: boolean },
): Promise<void> {
  const { binaries, account, dataDirectory } = cluster;
  const parent = path.dirname(dataDirectory);
  const folder = await mkdtemp(path.join(parent, 'unfinished-'));
  const made = path.join(folder, 'data');
  const passwordFile = path.join(folder, 'password');
  try {
    await writeFile(passwordFile, o.password, { mode: 0o600 });
    await giveTo(account, folder, passwordFile);
    await succeed(
      cluster,
      binaries.initdb,
      ['-D', made, '-U', clusterUser, `--pwfile=${passwordFile}`, '--auth=scram-sha-256', '--encoding=UTF8'].concat(
        ['--locale=C', '--data-checksums'],
        o.sync === false ? ['--no-sync'] : [],
      ),
    );
    const settings = {
      listen_addresses: '127.0.0.1',
      // Their paths are limited to about 100 characters, and TCP is enough.
      unix_socket_directories: '',
      timezone: 'UTC',
      log_timezone: 'UTC',
      ...o.settings,
    };
    const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`);
    await appendFile(path.join(made, 'postgresql.conf'), `\n# Nightfill\n${lines.join('')}`);
    await succeed(cluster, binaries.postgres, ['--single', '-D', made, 'postgres'], {
      input: `CREATE DATABASE ${clusterDatabase}\n`,
    });
    await rename(made, dataDirectory);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Another process took the port after it was found free, or processes of a killed server still hold its memory. */
const retryableStart = /Address already in use|shared memory block .* is still in use/;

/** Starts the server on 127.0.0.1 and gives its port once it accepts connections. `preferredPort` is tried first. */
export async function startServer(cluster: Cluster, preferredPort?: number): Promise<number> {
  return retry(async (attempt) => tryStart(cluster, await freePort(attempt === 1 ? preferredPort : undefined)), {
    attempts: 8,
    backoff: 'linear',
    baseDelay: 50,
    jitter: false,
    maxElapsed: Infinity,
    retryIf: (error) => error instanceof EmbeddedPostgresError && retryableStart.test((error.cause as Error).message),
  });
}

async function tryStart({ binaries, account, dataDirectory, logFile }: Cluster, port: number): Promise<number> {
  const where = ['-D', dataDirectory, '-l', logFile, '-o', `-p ${port}`];
  const { exitCode, output } = await runProgram(account, binaries.pgCtl, [...where, '-t', startSeconds, 'start']);
  if (exitCode === 0) return port;
  const logged = await lastLines(logFile);
  throw new EmbeddedPostgresError(
    `the embedded PostgreSQL did not start: ${lastSentence(logged) ?? lastSentence(output) ?? `exit code ${exitCode}`} (its log is ${logFile})`,
    { code: 'EMBEDDED_POSTGRES_START', cause: new Error(`${output}\n${logged}`) },
  );
}

/** Stops the server: open transactions are rolled back, the data is written out. Does nothing when it does not run. */
export async function stopServer(cluster: Cluster, mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
  const { binaries, account, dataDirectory } = cluster;
  if (!(await readPostmaster(dataDirectory))) return;
  const args = ['-D', dataDirectory, '-m', mode, '-t', stopSeconds, 'stop'];
  const { exitCode, output } = await runProgram(account, binaries.pgCtl, args);
  if (exitCode === 0 || !(await readPostmaster(dataDirectory))) return;
  throw new EmbeddedPostgresError(`the embedded PostgreSQL did not stop: ${lastSentence(output) ?? exitCode}`, {
    code: 'EMBEDDED_POSTGRES_STOP',
  });
}

export interface Postmaster {
  processId: number;
  port: number;
  /** `starting`, `ready`, `stopping` … */
  status: string;
}

/** The server that runs on this data directory; undefined without one, also when a dead server left its pid file. */
export async function readPostmaster(dataDirectory: string): Promise<Postmaster | undefined> {
  const lines = await postmasterFile(dataDirectory);
  const processId = Number(lines?.[0]);
  if (!lines || !(await isPostmaster(lines))) return undefined;
  return { processId, port: Number(lines[3]), status: (lines[7] ?? 'starting').trim() };
}

/**
 * PostgreSQL does not start while any other process of the same user has the process id in a dead server's postmaster.pid.
 * The id is replaced and the file kept, because its other lines tell the new server whether children of the dead one still
 * use its shared memory.
 */
export async function releaseStalePostmaster(dataDirectory: string): Promise<void> {
  const lines = await postmasterFile(dataDirectory);
  if (!lines || (await isPostmaster(lines))) return;
  const impossible = String(2 ** 31 - 1);
  await writeFile(path.join(dataDirectory, 'postmaster.pid'), [impossible, ...lines.slice(1)].join('\n'));
}

async function postmasterFile(dataDirectory: string): Promise<string[] | undefined> {
  const text = await readFile(path.join(dataDirectory, 'postmaster.pid'), 'utf8').catch(() => undefined);
  return text?.split('\n');
}

// The file and the server's command line spell the data directory alike.
async function isPostmaster([processId, directory = '']: string[]): Promise<boolean> {
  const commandLine = await commandLineOf(Number(processId));
  if (commandLine === undefined) return false;
  // Treat an unknown process as the server: two servers on the same data must never run.
  if (commandLine === 'unknown') return true;
  return commandLine.includes('postgres') && commandLine.includes(directory);
}

async function succeed(
  cluster: Cluster,
  program: string,
  args: readonly string[],
  options: { input?: string } = {},
): Promise<void> {
  const { exitCode, output } = await runProgram(cluster.account, program, args, options);
  if (exitCode === 0) return;
  throw new EmbeddedPostgresError(
    `the embedded PostgreSQL could not be created in ${cluster.dataDirectory}: ${lastSentence(output) ?? `exit code ${exitCode}`}`,
    { code: 'EMBEDDED_POSTGRES_CREATE', cause: new Error(output) },
  );
}

/** Hands files to the account the server runs under, when that is another user. */
export async function giveTo(account: ServerAccount, ...files: string[]): Promise<void> {
  if (account.kind !== 'other') return;
  await Promise.all(files.map(async (file) => chown(file, account.uid, account.gid)));
}

async function freePort(preferred = 0): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const server = createServer();
  server.once('error', reject);
  server.listen({ host: '127.0.0.1', port: preferred }, () => {
    const address = server.address();
    server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
  });
  return promise.catch(async (error: unknown) => {
    if (preferred === 0) throw error;
    return freePort();
  });
}

async function lastLines(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.split('\n').slice(-12).join('\n');
}

function lastSentence(text: string): string | undefined {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const telling = lines.findLast((line) => /FATAL|error:|could not/.test(line)) ?? lines.at(-1);
  return telling?.replace(/^.*?(FATAL|error): +/, '').trim();
}
