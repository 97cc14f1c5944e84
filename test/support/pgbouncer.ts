import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { unprivilegedAccount } from '../../src/sinks/embedded/embedded-account.ts';

const installer = fileURLToPath(new URL('install-pgbouncer.sh', import.meta.url));

/** Why PgBouncer cannot be used here; false when it can, installed just now if need be. For the `skip` option of a test. */
export function pgbouncerMissing(): string | false {
  try {
    execFileSync(installer, { stdio: ['ignore', 'pipe', 'ignore'], encoding: 'utf8' });
    return false;
  } catch (error) {
    return String((error as { stdout?: string }).stdout ?? error).trim();
  }
}

export interface Pgbouncer {
  /** The server's address, reached through the pool. */
  url: string;
  /** Ends it at once, as a machine that goes down does. */
  kill(): Promise<void>;
  /** Starts it again, at the same address. */
  start(): Promise<void>;
}

/** In transaction mode before the server of `server`, a URL with user and password; ends with the test. */
export async function startPgbouncer(
  t: TestContext,
  server: string,
  settings: Record<string, string | number> = {},
): Promise<Pgbouncer> {
  const { hostname, port: serverPort, username, password } = new URL(server);
  const account = process.geteuid?.() === 0 ? unprivilegedAccount() : undefined;
  const identity = account?.kind === 'other' ? { uid: account.uid, gid: account.gid } : undefined;
  const folder = await mkdtemp(path.join(tmpdir(), 'nightfill-pgbouncer-'));
  t.after(async () => rm(folder, { recursive: true, force: true, maxRetries: 3 }));
  const port = await freePort();
  const file = (name: string): string => path.join(folder, name);
  await writeFile(file('users'), `"${username}" "${password}"\n`);
  await writeFile(
    file('pgbouncer.ini'),
    [
      '[databases]',
      `* = host=${hostname} port=${serverPort}`,
      '[pgbouncer]',
      ...Object.entries({
        listen_addr: '127.0.0.1',
        listen_port: port,
        unix_socket_dir: '',
        auth_type: 'scram-sha-256',
        auth_file: file('users'),
        pool_mode: 'transaction',
        default_pool_size: 3,
        server_reset_query: '',
        ...(understandsPrepared() && { max_prepared_statements: 0 }),
        ...settings,
      }).map(([name, value]) => `${name} = ${value}`),
    ].join('\n'),
  );
  if (identity) {
    for (const one of [folder, file('users'), file('pgbouncer.ini')]) await chown(one, identity.uid, identity.gid);
    await chmod(folder, 0o700);
  }

  let running: ChildProcess | undefined;
  const kill = async (): Promise<void> => {
    if (running?.exitCode === null && running.signalCode === null) {
      running.kill('SIGKILL');
      await once(running, 'exit');
    }
  };
  const start = async (): Promise<void> => {
    const child = spawn(command(), [file('pgbouncer.ini')], {
      ...identity,
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    running = child;
    let log = '';
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text;
      if (log.includes('process up')) resolve();
    });
    child.once('error', reject).once('exit', () => reject(new Error(`PgBouncer does not start:\n${log}`)));
    await promise;
  };
  t.after(kill);
  await start();
  const own = new URL(server);
  own.hostname = '127.0.0.1';
  own.port = String(port);
  return { url: own.href, kill, start };
}

// Debian's folder for servers is not in everybody's PATH.
const search = `${process.env['PATH'] ?? ''}:/usr/sbin`;
const command = (): string =>
  execFileSync('sh', ['-c', 'command -v pgbouncer'], { env: { PATH: search }, encoding: 'utf8' }).trim();

/** From 1.21 on it can keep prepared statements for its clients, which older ones and careful owners do not. */
function understandsPrepared(): boolean {
  const [, major, minor] =
    /PgBouncer (\d+)\.(\d+)/.exec(execFileSync(command(), ['--version'], { encoding: 'utf8' })) ?? [];
  return Number(major) > 1 || Number(minor) >= 21;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
