import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, connect } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { test } from 'node:test';
import { copyUpsert } from '../../../src/sinks/target/copy-upsert.ts';
import type { Row } from '../../../src/sinks/target/copy-upsert.ts';
import { createDatabase } from '../../support/database.ts';
import { connect as connectTo, openDatabase, openTarget } from '../../support/load-fixture.ts';

test('many loads in one transaction hold no more locks than one', async () => {
  const database = await openDatabase();
  const { table } = await openTarget(database, { id: 'text', amount: 'int' });
  const locks: string[] = [];
  await database.withTransaction(async (client) => {
    for (const amount of ['1', '2', '3', '4']) {
      // A refused value each time, so that the slow way is gone as well.
      const { rejected } = await copyUpsert(
        client,
        table,
        [
          ['a', amount],
          ['b', 'none'],
        ],
        { sums: [] },
      );
      assert.equal(rejected.length, 1);
      const { rows } = await client.query<{ held: string }>(
        'SELECT count(*)::text AS held FROM pg_locks WHERE pid = pg_backend_pid()',
      );
      locks.push(rows[0]!.held);
    }
  });
  assert.deepEqual(locks.slice(2), [locks[1], locks[1]]);
});

test('several loads fit into one transaction, and nothing stays when it rolls back', async () => {
  const database = await openDatabase();
  const { table } = await openTarget(database, { id: 'text', amount: 'int' });
  const undone = new Error('undone');
  const work = database.withTransaction(async (client) => {
    assert.equal((await copyUpsert(client, table, [['a', '1']], { sums: [] })).inserted, 1);
    assert.equal(
      (
        await copyUpsert(
          client,
          table,
          [
            ['b', 'x'],
            ['a', '1'],
          ],
          { sums: [] },
        )
      ).unchanged,
      1,
    );
    throw undone;
  });
  await assert.rejects(work, undone);
  assert.equal((await database.query('SELECT FROM target')).rowCount, 0);
  assert.equal((await database.query(`SELECT FROM pg_class WHERE relname LIKE 'nightfill%'`)).rowCount, 0);
});

test('aborting during COPY throws the reason, and the client can roll back and go on', async () => {
  const database = await openDatabase();
  const { load } = await openTarget(database, { id: 'text', note: 'text' });
  const controller = new AbortController();
  const reason = new Error('deadline');
  const rows: Row[] = Array.from({ length: 20_000 }, (_, index) => [`${index}`, 'x'.repeat(200)]);
  // Every value is read twice: before the COPY to be checked, in the middle of it to be encoded.
  let reads = 0;
  const middle = ['10000', 'x'];
  Object.defineProperty(middle, 1, {
    get: () => {
      if (++reads === 2) controller.abort(reason);
      return 'x';
    },
  });
  rows[10_000] = middle;
  let lastReads = 0;
  const last = ['19999', 'x'];
  Object.defineProperty(last, 1, { get: () => String(++lastReads) });
  rows[19_999] = last;
  const loading = load(rows, { signal: controller.signal });
  await assert.rejects(loading, (error) => error === reason);
  assert.deepEqual([reads, lastReads], [2, 1], 'the COPY was cut short');
  assert.equal((await load([['a', 'b']])).inserted, 1);
});

test('two loads of the same rows in opposite orders wait for one another and do not deadlock', async (t) => {
  const { url } = await createDatabase(t, { template: 'empty' });
  const [one, other] = [await connectTo(t, url), await connectTo(t, url)];
  const columns = { id: 'int', amount: 'int' };
  const [first, second] = [await openTarget(one, columns), await openTarget(other, columns)];
  const rows: Row[] = Array.from({ length: 3000 }, (_, index) => [`${index}`, '0']);
  await first.load(rows);
  for (const amount of ['1', '2', '3']) {
    const given = rows.map(([id]): Row => [id ?? null, amount]);
    const results = await Promise.all([first.load(given), second.load(given.toReversed())]);
    // Whoever waited finds the rows as they should be.
    assert.deepEqual(
      results.map(({ updated }) => updated).toSorted((a, b) => a - b),
      [0, 3000],
    );
  }
});

test('a deadlock or a serialization failure is thrown, never blamed on a row', async () => {
  const database = await openDatabase();
  await database.query(`
    CREATE TABLE target (id text PRIMARY KEY, state text);
    CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      RAISE EXCEPTION 'as if' USING ERRCODE = NEW.state; END $$;
    CREATE TRIGGER fail BEFORE INSERT ON target FOR EACH ROW EXECUTE FUNCTION fail()`);
  const { load } = await openTarget(database, { id: 'text', state: 'text' });
  for (const code of ['40001', '40P01', '57014', '55P03', '53300', '57P01', '42501']) {
    await assert.rejects(load([['a', code]]), { code: `PG_${code}` });
  }
});

test('a connection that dies in the middle of COPY surfaces as an error, and the process lives', async (t) => {
  const { url, database: pool } = await createDatabase(t, { template: 'empty' });
  const direct = await connectTo(t, url);
  const { table } = await openTarget(direct, { id: 'text', note: 'text' });
  const server = new URL(url);
  // A proxy that drops both ends once a good part of the COPY went through.
  let sent = 0;
  const sockets = new Set<Socket>();
  const proxy = createServer((near) => {
    const far = connect(Number(server.port), server.hostname);
    for (const socket of [near, far]) sockets.add(socket.on('error', () => {}));
    near.on('data', (data) => {
      sent += data.length;
      if (sent > 500_000) for (const socket of sockets) socket.destroy();
      else far.write(data);
    });
    far.pipe(near);
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  t.after(() => proxy.close());
  const through = new URL(url);
  through.port = String((proxy.address() as AddressInfo).port);
  const database = await connectTo(t, through.href);
  const rows: Row[] = Array.from({ length: 20_000 }, (_, index) => [`${index}`, 'x'.repeat(200)]);
  await assert.rejects(
    database.withTransaction(async (client) => copyUpsert(client, table, rows, { sums: [] })),
    { code: 'PG_CONNECTION', class: 'transient' },
  );
  assert.equal((await pool.query('SELECT FROM target')).rowCount, 0);
});
