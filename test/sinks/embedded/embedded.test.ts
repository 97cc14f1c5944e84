import { after, describe, test, type TestContext } from 'node:test';
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { runProgram, unprivilegedAccount } from '../../../src/sinks/embedded/embedded-account.ts';
import { restoreLinks } from '../../../src/sinks/embedded/embedded-binaries.ts';
import { createCluster, startServer, stopServer } from '../../../src/sinks/embedded/embedded-cluster.ts';
import { placeCluster } from '../../../src/sinks/embedded/embedded-place.ts';
import { openEmbedded, type EmbeddedPostgres } from '../../../src/sinks/embedded/embedded.ts';
import { execute } from '../../support/database.ts';
import { isLong } from '../../support/long.ts';
import { reachableCheckout } from '../../support/reachable-checkout.ts';

const root = process.geteuid?.() === 0;
const notRoot = root ? false : 'needs root, to become another user';

/** A folder of mode 0700 for a server; the server is killed and the folder deleted after the test. */
async function newFolder(t: TestContext, { mode = 0o700 } = {}): Promise<string> {
  const parent = await mkdtemp(path.join(tmpdir(), 'nightfill-embedded-'));
  await chmod(parent, mode);
  const folder = path.join(parent, 'postgres');
  t.after(async () => {
    await killServer(folder).catch(() => undefined);
    await rm(parent, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  });
  return folder;
}

// Made while the file is loaded: inside a test `after` would mean the end of that test.
const template = await mkdtemp(path.join(tmpdir(), 'nightfill-embedded-'));
after(async () => rm(template, { recursive: true, force: true }));
await (await openEmbedded({ directory: path.join(template, 'postgres') }))[Symbol.asyncDispose]();

/** One folder for all tests to which it does not matter who made it; the server in it is not running. */
function madeFolder(t: TestContext): string {
  const folder = path.join(template, 'postgres');
  t.after(async () => killServer(folder).catch(() => undefined));
  return folder;
}

async function postmasterId(folder: string): Promise<number> {
  return Number.parseInt(await readFile(path.join(folder, 'data', 'postmaster.pid'), 'utf8'), 10);
}

async function killServer(folder: string): Promise<void> {
  process.kill(await postmasterId(folder), 'SIGKILL');
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    return await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'close').then(() => false)]);
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function ask(embedded: EmbeddedPostgres, sql: string): Promise<unknown> {
  const client = new pg.Client(embedded.config);
  await client.connect();
  try {
    const { rows } = await client.query<unknown[]>({ text: sql, rowMode: 'array' });
    return rows[0]?.[0];
  } finally {
    await client.end();
  }
}

const urlOf = async (folder: string): Promise<string> => (await readFile(path.join(folder, 'url'), 'utf8')).trim();

interface User {
  child: ChildProcess;
  port: number;
  /** Ends it as a run ends; resolves with its log. */
  leave(): Promise<string>;
}

const program = path.join(import.meta.dirname, '../../support/embedded-user.ts');

interface UserOptions {
  uid?: number;
  gid?: number;
  detached?: boolean;
  env?: NodeJS.ProcessEnv;
  /** Node.js and the program to run, where this user may read them. */
  run?: [node: string, program: string];
}

function spawnUser(folder: string, { run = [process.execPath, program], ...options }: UserOptions = {}) {
  return spawn(run[0], [run[1], folder], { stdio: ['pipe', 'pipe', 'pipe'], cwd: '/', ...options });
}

/** Another process that uses the server in `folder`. */
async function startUser(folder: string, options: UserOptions = {}): Promise<User> {
  return attend(spawnUser(folder, options));
}

async function attend(child: ReturnType<typeof spawnUser>): Promise<User> {
  const log = text(child.stderr);
  const [port] = (await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])) as [unknown];
  if (!Buffer.isBuffer(port)) throw new Error(`the process ended with ${String(port)}: ${await log}`);
  return {
    child,
    port: Number(String(port)),
    async leave() {
      child.stdin.end();
      const [code] = child.exitCode === null ? ((await once(child, 'exit')) as [number]) : [child.exitCode];
      assert.equal(code, 0, await log);
      return log;
    },
  };
}

describe('the embedded server', { concurrency: 3 }, () => {
  describe('in the folder that they share', { concurrency: 1 }, () => {
    void test('its settings are durable, UTF-8, UTC and reachable from this machine only', async (t) => {
      await using embedded = await openEmbedded({ directory: madeFolder(t) });
      for (const [name, value] of Object.entries({
        fsync: 'on',
        synchronous_commit: 'on',
        full_page_writes: 'on',
        data_checksums: 'on',
        server_encoding: 'UTF8',
        TimeZone: 'UTC',
        listen_addresses: '127.0.0.1',
        unix_socket_directories: '',
      })) {
        assert.equal(await ask(embedded, `SHOW ${name}`), value, name);
      }
      const wrong = new pg.Client({ ...embedded.config, password: 'wrong' });
      await assert.rejects(wrong.connect(), { code: '28P01' });
    });

    void test('the file "url" lets its owner in, nobody else may read it, and the password stands nowhere else', async (t) => {
      const folder = madeFolder(t);
      const lines: string[] = [];
      await using embedded = await openEmbedded({ directory: folder, log: (line) => lines.push(line) });
      await execute(await urlOf(folder), 'SELECT 1');
      for (const name of ['url', 'password']) assert.equal((await stat(path.join(folder, name))).mode & 0o777, 0o600);
      assert.equal(typeof embedded.config.password, 'string');
      assert.ok(![...lines, embedded.description].some((line) => line.includes(String(embedded.config.password))));
    });

    void test("variables meant for another server's clients do not disturb it", async (t) => {
      const folder = madeFolder(t);
      const other = {
        PGHOST: 'db.invalid',
        PGPORT: '1',
        PGDATA: '/absent',
        PGUSER: 'x',
        PGOPTIONS: '-c nonsense',
        PGSSLMODE: 'require',
      };
      const user = await startUser(folder, { env: { ...process.env, ...other, LC_ALL: 'xx_XX', TZ: 'Asia/Tokyo' } });
      await execute(await urlOf(folder), 'SELECT 1');
      await user.leave();
    });

    void test('two processes share one server, and the last to leave stops it', async (t) => {
      const folder = madeFolder(t);
      const user = await startUser(folder);
      const embedded = await openEmbedded({ directory: folder });
      assert.equal(embedded.config.port, user.port);
      await embedded[Symbol.asyncDispose]();
      await embedded[Symbol.asyncDispose]();
      assert.equal(await accepts(user.port), true);
      assert.match(await user.leave(), /stopped/);
      assert.equal(await accepts(user.port), false);
    });

    void test('after the server was killed its data is whole, and those who share it go on', async (t) => {
      const folder = madeFolder(t);
      await using before = await openEmbedded({ directory: folder });
      await ask(before, 'CREATE TABLE kept AS SELECT g FROM generate_series(1, 1000) g');
      await killServer(folder);
      await using again = await openEmbedded({ directory: folder });
      assert.equal(await ask(again, 'SELECT count(*)::int FROM kept'), 1000);
    });

    void test('after a process was killed the next one joins its server, and stops it at the end', async (t) => {
      const folder = madeFolder(t);
      const user = await startUser(folder);
      user.child.kill('SIGKILL');
      await once(user.child, 'exit');
      assert.equal(await accepts(user.port), true);
      const lines: string[] = [];
      const embedded = await openEmbedded({ directory: folder, log: (line) => lines.push(line) });
      assert.equal(embedded.config.port, user.port);
      assert.match(lines.join('\n'), /joined/);
      await embedded[Symbol.asyncDispose]();
      assert.equal(await accepts(user.port), false);
    });

    void test("a dead server's file that names another living process does not keep it from starting", async (t) => {
      const folder = madeFolder(t);
      // No relative of the server's: PostgreSQL knows that those are not a server.
      const other = await runProgram({ kind: 'self' }, 'sh', ['-c', 'sleep 60 >/dev/null 2>&1 & echo $!']);
      const processId = Number(other.output);
      t.after(() => process.kill(processId));
      const lines = [String(processId), path.join(folder, 'data'), '1', '1', '', '127.0.0.1', '1 1', 'ready   '];
      await writeFile(path.join(folder, 'data', 'postmaster.pid'), `${lines.join('\n')}\n`, { mode: 0o600 });
      await using embedded = await openEmbedded({ directory: folder });
      assert.equal(await ask(embedded, 'SELECT 1'), 1);
    });

    void test('a port that somebody else took meanwhile is given up for another', async (t) => {
      const folder = madeFolder(t);
      const first = await openEmbedded({ directory: folder });
      await first[Symbol.asyncDispose]();
      const squatter = createServer().listen(first.config.port, '127.0.0.1');
      await once(squatter, 'listening');
      t.after(() => squatter.close());
      await using again = await openEmbedded({ directory: folder });
      assert.notEqual(again.config.port, first.config.port);
      assert.equal(await ask(again, 'SELECT 1'), 1);
    });

    void test('a lost or changed password is named', async (t) => {
      const folder = madeFolder(t);
      const file = path.join(folder, 'password');
      const password = await readFile(file, 'utf8');
      t.after(async () => writeFile(file, password, { mode: 0o600 }));
      await writeFile(file, 'other');
      await assert.rejects(openEmbedded({ directory: folder }), { code: 'EMBEDDED_POSTGRES_PASSWORD' });
      await rm(file);
      await assert.rejects(openEmbedded({ directory: folder }), {
        code: 'EMBEDDED_POSTGRES_PASSWORD',
        message: /restore it/,
      });
    });
  });

  void test('a server is made, keeps its data from one time to the next, and is stopped in between', async (t) => {
    const folder = await newFolder(t);
    const lines: string[] = [];
    const first = await openEmbedded({ directory: folder, log: (line) => lines.push(line) });
    assert.equal(await ask(first, 'CREATE TABLE kept (id int)'), undefined);
    await first[Symbol.asyncDispose]();
    assert.equal(await accepts(first.config.port!), false);
    await using again = await openEmbedded({ directory: folder, log: (line) => lines.push(line) });
    assert.equal(await ask(again, 'SELECT count(*)::int FROM kept'), 0);
    assert.equal(again.config.port, first.config.port, 'an address that somebody wrote down stays right');
    assert.deepEqual(
      lines.map((line) => /made and started|started|stopped|joined/.exec(line)?.[0]),
      ['made and started', 'stopped', 'started'],
    );
  });

  void test('processes that come at the same time make one server', async (t) => {
    const folder = await newFolder(t);
    const users = await Promise.all([1, 2, 3].map(async () => startUser(folder)));
    assert.equal(new Set(users.map(({ port }) => port)).size, 1);
    const logs = await Promise.all(users.map(async (user) => user.leave()));
    assert.equal(logs.filter((log) => log.includes('made and started')).length, 1);
    assert.equal(logs.filter((log) => log.includes('stopped')).length, 1);
  });

  void test('whenever the first process is killed, the next one has a good server', async (t) => {
    const folder = await newFolder(t);
    for (const ms of isLong ? [100, 150, 200, 250, 300, 350, 400, 450, 500, 600, 750, 900] : [150, 450, 750]) {
      const child = spawnUser(folder);
      await delay(ms);
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    const embedded = await openEmbedded({ directory: folder });
    assert.equal(await ask(embedded, 'SELECT 1'), 1);
    await embedded[Symbol.asyncDispose]();
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.startsWith('unfinished') || name.endsWith('draft')),
      [],
    );
  });

  void test('Ctrl-C in the terminal reaches neither the making of the server nor the server', async (t) => {
    const folder = await newFolder(t);
    const child = spawnUser(folder, { detached: true });
    // It is left alone until it listens for the signal.
    await once(child.stderr, 'data');
    const interrupt = setInterval(() => process.kill(-child.pid!, 'SIGINT'), 50);
    const user = await attend(child).finally(() => clearInterval(interrupt));
    process.kill(-child.pid!, 'SIGINT');
    await execute(await urlOf(folder), 'SELECT 1');
    assert.match(await user.leave(), /made and started/);
  });

  void test('data of another major version is left alone, with what to do', async (t) => {
    const folder = await newFolder(t);
    await mkdir(path.join(folder, 'data'), { recursive: true });
    await writeFile(path.join(folder, 'data', 'PG_VERSION'), '14\n');
    await assert.rejects(openEmbedded({ directory: folder }), {
      code: 'EMBEDDED_POSTGRES_VERSION',
      message: /made by PostgreSQL 14.*embeds 18.*move the folder away/,
    });
  });

  void test(
    "root runs it in a folder nobody else may pass, and the files stay root's",
    { skip: notRoot },
    async (t) => {
      const folder = await newFolder(t);
      const lines: string[] = [];
      await using embedded = await openEmbedded({ directory: folder, log: (line) => lines.push(line) });
      assert.equal(await ask(embedded, 'SELECT 1'), 1);
      if (/as user id/.test(lines.join())) return t.skip('user namespaces are forbidden here');
      assert.match(lines.join('\n'), /in a user namespace because PostgreSQL refuses root/);
      assert.equal((await stat(path.join(folder, 'data'))).uid, 0);
    },
  );

  void test('an ordinary user, even without a name, runs it too', { skip: notRoot }, async (t) => {
    const { node, at } = await reachableCheckout(t, 54321);
    for (const id of [65534, 54321]) {
      const folder = await newFolder(t);
      await chown(path.dirname(folder), id, id);
      const user = await startUser(folder, {
        uid: id,
        gid: id,
        run: [node, at('test/support/embedded-user.ts')],
        env: { PATH: process.env['PATH'], HOME: path.dirname(folder) },
      });
      await execute(await urlOf(folder), 'SELECT 1');
      assert.equal((await stat(path.join(folder, 'data'))).uid, id);
      await user.leave();
    }
  });

  void test('root without user namespaces runs it as another user, and says so', { skip: notRoot }, async (t) => {
    const folder = await newFolder(t, { mode: 0o755 });
    const tools = path.join(path.dirname(folder), 'tools');
    await mkdir(tools);
    await writeFile(path.join(tools, 'unshare'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    const user = await startUser(folder, { env: { ...process.env, PATH: `${tools}:${process.env['PATH']}` } });
    await execute(await urlOf(folder), 'CREATE TABLE kept (id int)');
    assert.match(await user.leave(), /as user id \d+ with its data in .*, because PostgreSQL refuses root/);
    const { uid } = await stat(path.join(folder, 'data'));
    assert.notEqual(uid, 0);
    // Later, where namespaces are allowed again, the data still belongs to that user.
    await using again = await openEmbedded({ directory: folder });
    assert.equal(await ask(again, 'SELECT count(*)::int FROM kept'), 0);
  });

  void test('what another user cannot reach is placed elsewhere, with a link', { skip: notRoot }, async (t) => {
    const folder = await newFolder(t);
    const elsewhere = await newFolder(t, { mode: 0o755 });
    await mkdir(folder);
    const account = unprivilegedAccount();
    const cluster = await placeCluster(folder, account, { elsewhere });
    assert.equal(path.dirname(path.dirname(cluster.dataDirectory)), elsewhere);
    await createCluster(cluster, { password: 'test', sync: false });
    const port = await startServer(cluster);
    t.after(async () => stopServer(cluster, 'immediate'));
    await execute(`postgres://postgres:test@127.0.0.1:${port}/nightfill`, 'SELECT 1');
    assert.equal(await readlink(path.join(folder, 'data')), cluster.dataDirectory);
    assert.equal((await placeCluster(folder, account, { elsewhere })).dataDirectory, cluster.dataDirectory);
    assert.equal((await placeCluster(folder, { kind: 'namespace' })).dataDirectory, cluster.dataDirectory);
  });

  void test('links of shared libraries that no install script made are made', async (t) => {
    const folder = await newFolder(t);
    await mkdir(path.join(folder, 'native', 'lib'), { recursive: true });
    await writeFile(path.join(folder, 'native', 'lib', 'libpq.so.5.18'), 'library');
    await writeFile(
      path.join(folder, 'native', 'pg-symlinks.json'),
      JSON.stringify([{ source: 'native/lib/libpq.so.5.18', target: 'native/lib/libpq.so.5' }]),
    );
    await Promise.all([restoreLinks(folder), restoreLinks(folder)]);
    await restoreLinks(folder);
    assert.equal(await readFile(path.join(folder, 'native', 'lib', 'libpq.so.5'), 'utf8'), 'library');
  });

  void test('a program that runs under an account gives its output and exit code', async () => {
    const { exitCode, output } = await runProgram({ kind: 'self' }, process.execPath, [
      '-e',
      'console.log("out"); console.error("err"); process.exit(3)',
    ]);
    assert.equal(exitCode, 3);
    assert.match(output, /out\n/);
    assert.match(output, /err\n/);
  });
});
