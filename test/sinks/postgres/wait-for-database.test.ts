import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { test, type TestContext } from 'node:test';
import { UsageError } from '../../../src/resilience/failure.ts';
import { Database } from '../../../src/sinks/postgres/postgres.ts';
import { waitForDatabase } from '../../../src/sinks/postgres/wait-for-database.ts';
import { createDatabase, roleWithPassword } from '../../support/database.ts';

/** A server's refusal, as it answers the first message of a connection. */
function refusal(sqlState: string, message: string): Buffer {
  const fields = Buffer.from(`SFATAL\0VFATAL\0C${sqlState}\0M${message}\0\0`);
  const head = Buffer.from('E\0\0\0\0');
  head.writeInt32BE(fields.length + 4, 1);
  return Buffer.concat([head, fields]);
}

/** Refuses one connection after the other, in these ways; then it passes them on to the server at `url`. */
async function refusing(t: TestContext, url: string, refusals: readonly [string, string][]): Promise<string> {
  const left = [...refusals];
  const { hostname, port } = new URL(url);
  const server: Server = createServer((near) => {
    near.on('error', () => {});
    const next = left.shift();
    if (next) {
      near.once('data', () => near.end(refusal(...next)));
      return;
    }
    const far = connect(Number(port), hostname).on('error', () => near.destroy());
    near.pipe(far).pipe(near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const own = new URL(url);
  own.port = String((server.address() as AddressInfo).port);
  return own.href;
}

const open = async (connectionString: string) => Database.open({ config: { connectionString }, description: 'it' });

test('a server that is starting, full or shutting down is waited for, and each reason is said once', async (t) => {
  const { url } = await createDatabase(t, { template: 'empty' });
  const through = await refusing(t, url, [
    ['57P03', 'the database system is starting up'],
    ['57P03', 'the database system is starting up'],
    ['53300', 'sorry, too many clients already'],
    ['08P01', 'no more connections allowed (max_client_conn)'],
  ]);
  const said: string[] = [];
  const waiting = waitForDatabase(async () => open(through), { waitMs: 60_000, onWait: (reason) => said.push(reason) });
  await using database = await waiting;
  assert.equal((await database.query('SELECT 1')).rowCount, 1);
  assert.equal(said.length, 3, said.join('\n'));
  assert.match(said[0]!, /starting up or shutting down/);
  assert.match(said[1]!, /no connection is left/);
  assert.match(said[2]!, /PgBouncer has no connection left/);
});

test('what time does not mend is not waited for', async (t) => {
  const { url } = await createDatabase(t, { template: 'empty' });
  const unknown = url.replace(/test_[^/]*$/, 'nowhere');
  const wrong = (await roleWithPassword(t)).href.replace(':test@', ':wrong@');
  const option = await refusing(t, url, [['08P01', 'unsupported startup parameter: options']]);
  for (const address of [unknown, wrong, option]) {
    const onWait = (reason: string): void => assert.fail(`it is waited for: ${reason}`);
    await assert.rejects(
      waitForDatabase(async () => open(address), { waitMs: 60_000, onWait }),
      UsageError,
    );
  }
});

test('waiting in vain says for how long, and an end that is asked for is heeded at once, also by a mute server', async (t) => {
  const closed = 'postgres://someone@127.0.0.1:1/none';
  await assert.rejects(
    waitForDatabase(async () => open(closed), { waitMs: 600, onWait: () => undefined }),
    /nothing listens there.*Gave up after 1 s \(--database-wait\)/,
  );
  await assert.rejects(
    waitForDatabase(async () => open(closed), { waitMs: 0, onWait: () => assert.fail('asked once') }),
    {
      message: /nothing listens there; is the server up, and are host and port right$/,
    },
  );
  const mute = createServer(() => {}).listen(0, '127.0.0.1');
  await once(mute, 'listening');
  t.after(() => mute.close());
  const { port } = mute.address() as AddressInfo;
  for (const connectionString of [closed, `postgres://someone@127.0.0.1:${port}/none`]) {
    const stop = new AbortController();
    const reason = new Error('stopped');
    const task = async () => {
      setTimeout(() => stop.abort(reason), 20);
      return Database.open({ config: { connectionString }, description: 'it', signal: stop.signal });
    };
    const ended = waitForDatabase(task, { waitMs: 60_000, signal: stop.signal, onWait: () => undefined });
    await assert.rejects(ended, reason);
  }
});
