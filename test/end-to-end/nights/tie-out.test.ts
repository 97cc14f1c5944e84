import { test, type TestContext } from 'node:test';
import assert from 'node:assert/strict';
import { createDatabase } from '../../support/database.ts';
import { startNight } from '../../support/night.ts';
import { ScriptedServer } from '../../support/scripted-server.ts';
import { startTcpProxy } from '../../support/tcp-proxy.ts';

const total = 30;

/** Lists 30 contracts of 2.25 each; the detail of c7 has no amount. */
async function serve(t: TestContext): Promise<ScriptedServer> {
  const contract = (id: string) => ({ id, amount: 2.25 });
  const server = await ScriptedServer.start(({ url }) =>
    url === '/contracts'
      ? { json: Array.from({ length: total }, (_, index) => contract(`c${index}`)) }
      : { json: { ...contract(url.slice(1)), ...(url === '/c7' && { amount: null }) } },
  );
  t.after(async () => server[Symbol.asyncDispose]());
  return server;
}

const job = `
name: doubt
apis:
  crm: { type: rest, baseUrl: "\${API}", limits: { concurrency: 20 } }
contracts: { api: crm, path: /contracts, key: id, paginate: { type: none } }
lookups:
  contract: { api: crm, path: "/{key}" }
load:
  table: doubt
  key: [id]
  columns:
    id:     { from: contract.id, type: text }
    amount: { from: contract.amount, type: "numeric(12,2)" }
controls: [{ sum: amount }]
`;

for (const { title, pass } of [
  { title: 'a chunk whose COMMIT was done but not acknowledged is counted once', pass: true },
  { title: 'a chunk whose COMMIT never arrived is loaded again', pass: false },
]) {
  test(title, async (t) => {
    const server = await serve(t);
    const { url, database } = await createDatabase(t, { template: 'empty' });
    await using proxy = await startTcpProxy(url);
    let recording = false;
    let cuts = 0;
    proxy.cutWhen({
      direction: 'toServer',
      pass,
      matches: (bytes) => {
        recording ||= bytes.includes('INSERT INTO nightfill.chunk_attempt');
        if (!recording || !bytes.includes('COMMIT\0')) return false;
        cuts += 1;
        return true;
      },
    });
    const night = await startNight(t, { environment: { API: server.origin }, databaseUrl: proxy.url });
    await night.write('job.yaml', job);
    const run = await night.nightfill('run', 'job.yaml');
    assert.equal(run.exitCode, 0, run.stdout + run.stderr);
    assert.equal(cuts, 1, 'the connection was cut at the COMMIT of the chunk');

    const { counts, chunks } = await night.report();
    assert.deepEqual([counts.enriched, counts.inserted, counts.failed], [total, total, 0]);
    assert.equal(chunks[0]!.attempts, 1);
    const { rows } = await database.query(`SELECT count(*)::integer AS rows FROM doubt`);
    assert.deepEqual(rows, [{ rows: total }]);
    assert.equal(server.requests.length, total + 1, 'nothing is fetched again');
  });
}

test('a loaded contract without an amount ties out, although its listing record shows one', async (t) => {
  const server = await serve(t);
  const night = await startNight(t, { environment: { API: server.origin } });
  await night.write('job.yaml', job);
  const run = await night.nightfill('run', 'job.yaml');
  assert.equal(run.exitCode, 0, run.stdout + run.stderr);
  const { amounts } = await night.report();
  assert.deepEqual(
    amounts.map(({ listed, loaded, variance }) => [listed, loaded, variance]),
    [['65.25', '65.25', '0.00']],
  );
});
