import { randomBytes } from 'node:crypto';
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { UsageError } from '../../resilience/failure.ts';
import { isConnectionFault } from '../postgres/database-error.ts';
import { chooseAccount } from './embedded-account.ts';
import { EmbeddedPostgresError } from './embedded-binaries.ts';
import {
  clusterDatabase,
  clusterUser,
  createCluster,
  releaseStalePostmaster,
  readPostmaster,
  startServer,
  stopServer,
  type Cluster,
} from './embedded-cluster.ts';
import { describePlace, placeCluster } from './embedded-place.ts';
import { FileLock } from './file-lock.ts';

/** One user's hold on the embedded server; when the last user disposes of it, the server stops. */
export interface EmbeddedPostgres extends AsyncDisposable {
  config: pg.PoolConfig;
  /** Without a password: `embedded PostgreSQL in .nightfill/postgres`. */
  description: string;
}

export interface EmbeddedOptions {
  /** Folder for data, password, log and locks; created when missing. */
  directory: string;
  /** The directory from which messages name it. Default: the process's working directory. */
  from?: string;
  /** Called with a line for each creation, start, join and stop. */
  log?: (line: string) => void;
}

const settings = { max_connections: '50', shared_buffers: '64MB', log_checkpoints: 'off' };

/** Milliseconds to wait for a server that starts, recovers or stops. */
const readyTimeoutMs = 150_000;

/**
 * The embedded PostgreSQL: created when missing, started when it does not run, joined when it does. Several processes may
 * use one directory at a time. A call recovers from whatever an earlier kill left behind.
 *
 * In `directory`: `data` and `server.log` (the server's), `password`, `url` (for `psql "$(cat url)"`), `turn.lock`
 * (held during a join or a leave), `users.lock` (held shared by each user).
 */
export async function openEmbedded({
  directory,
  from = '',
  log = () => {},
}: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const folder = path.resolve(directory);
  const fromHere = path.relative(from, folder);
  const description = `embedded PostgreSQL in ${fromHere === '' || fromHere.startsWith('..') ? folder : fromHere}`;
  const file = (name: string): string => path.join(folder, name);
  const takeTurn = async (): Promise<FileLock> =>
    FileLock.wait(
      () => FileLock.tryExclusive(file('turn.lock')),
      () => log(`waiting for another process that starts or stops the ${description}`),
    );

  await mkdir(folder, { recursive: true, mode: 0o700 });
  using _turn = await takeTurn();
  using stack = new DisposableStack();
  const user = stack.use(await FileLock.wait(() => FileLock.tryShared(file('users.lock'))));
  const cluster = await placeCluster(folder, await chooseAccount({ dataDirectory: file('data') }));
  const begun = performance.now();
  const made = await makeUnlessThere(cluster, file('password'));
  const password = await readPassword(file('password'), description);
  const { port, started } = await runServer(cluster, { password, preferredPort: await lastPort(file('url')) });
  await writePrivately(file('url'), `postgres://${clusterUser}:${password}@127.0.0.1:${port}/${clusterDatabase}\n`);
  const took = `${Math.round(performance.now() - begun)} ms`;
  const what = made ? `made and started in ${took}` : started ? `started in ${took}` : 'joined';
  log(`${description}, version ${cluster.binaries.version}, ${what} on port ${port}${describePlace(cluster)}`);

  stack.move();
  return {
    config: clientConfig(port, password),
    description,
    async [Symbol.asyncDispose]() {
      using _turn = await takeTurn();
      user[Symbol.dispose]();
      using alone = FileLock.tryExclusive(file('users.lock'));
      if (!alone) return;
      // The work is committed, so a server that does not stop must not fail the command.
      await stopServer(cluster).then(
        () => log(`${description} stopped`),
        (error: unknown) => log(`${String((error as Error).message)}; it keeps running`),
      );
    },
  };
}

async function makeUnlessThere(cluster: Cluster, passwordFile: string): Promise<boolean> {
  const { dataDirectory, binaries } = cluster;
  await sweep(path.dirname(dataDirectory));
  const version = await readFile(path.join(dataDirectory, 'PG_VERSION'), 'utf8').catch(() => undefined);
  if (version === undefined) {
    const password = randomBytes(24).toString('base64url');
    await writePrivately(passwordFile, password);
    await createCluster(cluster, { password, settings });
    return true;
  }
  if (Number.parseInt(version, 10) === binaries.major) return false;
  throw new UsageError(
    `${dataDirectory} was made by PostgreSQL ${version.trim()}, and this Nightfill embeds ${binaries.major}: ` +
      'to keep its data, dump it with the Nightfill that made it and restore it here; otherwise move the folder away, and a new one is created',
    { code: 'EMBEDDED_POSTGRES_VERSION' },
  );
}

/** Removes what a killed creation left behind. Safe, because no other process creates during our turn. */
async function sweep(folder: string): Promise<void> {
  const unfinished = (await readdir(folder)).filter((name) => name.startsWith('unfinished-'));
  await Promise.all(
    unfinished.map(async (name) => rm(path.join(folder, name), { recursive: true, force: true, maxRetries: 5 })),
  );
}

/** Resolves with the port once the server accepts us, whether it ran, was starting, was stopping or did not run. */
async function runServer(
  cluster: Cluster,
  { password, preferredPort }: { password: string; preferredPort: number | undefined },
): Promise<{ port: number; started: boolean }> {
  const deadline = performance.now() + readyTimeoutMs;
  /* oxlint-disable no-await-in-loop -- polls the state of one server, and each step depends on the state just read */
  for (let started = false; ; await delay(50)) {
    const running = await readPostmaster(cluster.dataDirectory);
    if (running?.status === 'ready' && (await acceptsUs(running.port, password)))
      return { port: running.port, started };
    if (performance.now() > deadline) {
      throw new EmbeddedPostgresError(
        `the embedded PostgreSQL runs as process ${running?.processId}, but does not accept connections (its log is ${cluster.logFile})`,
        { code: 'EMBEDDED_POSTGRES_START' },
      );
    }
    if (running) continue;
    await releaseStalePostmaster(cluster.dataDirectory);
    try {
      await startServer(cluster, preferredPort);
    } catch (error) {
      // A start begun by a process that was killed may have won.
      if (!(await readPostmaster(cluster.dataDirectory))) throw error;
    }
    started = true;
  }
  /* oxlint-enable no-await-in-loop */
}

function clientConfig(port: number, password: string): pg.PoolConfig {
  // Without options pg takes PGOPTIONS, which is meant for another server.
  const options = '-c TimeZone=UTC';
  return { host: '127.0.0.1', port, user: clusterUser, password, database: clusterDatabase, ssl: false, options };
}

async function acceptsUs(port: number, password: string): Promise<boolean> {
  const client = new pg.Client({ ...clientConfig(port, password), connectionTimeoutMillis: 10_000 });
  client.on('error', () => {});
  try {
    await client.connect();
    return true;
  } catch (error) {
    const { code = '', message } = error as { code?: string; message: string };
    // It starts or stops, or another server has the port.
    if (code === '57P03' || isConnectionFault(error)) return false;
    // No connection is left; the caller then waits or reports that.
    if (code === '53300') return true;
    throw new UsageError(
      code === '28P01'
        ? 'the embedded PostgreSQL refuses its own password: the file "password" beside its data was changed'
        : `the embedded PostgreSQL cannot be used: ${message}`,
      { code: code === '28P01' ? 'EMBEDDED_POSTGRES_PASSWORD' : 'EMBEDDED_POSTGRES_UNUSABLE', cause: error },
    );
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function readPassword(file: string, description: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (cause) {
    throw new UsageError(
      `the ${description} cannot be used without ${file}, which cannot be read: restore it, or move the folder away and a new one is made`,
      { code: 'EMBEDDED_POSTGRES_PASSWORD', cause },
    );
  }
}

/** The port of the last start, which is tried first so that saved URLs stay valid. */
async function lastPort(urlFile: string): Promise<number | undefined> {
  const text = await readFile(urlFile, 'utf8').catch(() => '');
  const port = Number(/:(\d+)\/\w+\s*$/.exec(text)?.[1]);
  return Number.isInteger(port) ? port : undefined;
}

/** Writes the file atomically, at no time readable by other users. */
async function writePrivately(file: string, text: string): Promise<void> {
  const draft = `${file}.draft`;
  await rm(draft, { force: true });
  await writeFile(draft, text, { mode: 0o600, flag: 'wx' });
  await rename(draft, file);
}
