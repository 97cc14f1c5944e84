import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { until } from '../../support/night.ts';
import { listAndLookUp, scriptedNight } from '../../support/scripted-job.ts';

/** A night whose database is not up yet; `bringUp` brings it up. */
async function tooEarly(t: TestContext, job: { schedule?: string } = {}) {
  const { night, server } = await scriptedNight(t, { script: listAndLookUp([{ id: 'a' }]), schema: false, job });
  const url = new URL(night.databaseUrl);
  const gate = createServer((near) => {
    const far = connect(Number(url.port), url.hostname).on('error', () => near.destroy());
    near.on('error', () => far.destroy());
    near.pipe(far).pipe(near);
  }).listen(0, '127.0.0.1');
  await once(gate, 'listening');
  const { port } = gate.address() as AddressInfo;
  gate.close();
  const own = new URL(url);
  own.port = String(port);
  const direct = night.databaseUrl;
  night.environment['DATABASE_URL'] = own.href;
  const bringUp = async () => {
    gate.listen(port, '127.0.0.1');
    await once(gate, 'listening');
    t.after(() => gate.close());
  };
  return { night, server, bringUp, direct };
}

test('a run that starts before its database waits for it and says so; the schema is made when it is there', async (t) => {
  const { night, server, bringUp } = await tooEarly(t);
  const run = night.start('run', 'job.yaml', '--trigger', 'cron');
  await until(() => run.output().stderr.includes('waiting for the database'), run.ended);
  assert.deepEqual(server.log, [], 'nothing is asked before it is known where the answers go');
  await bringUp();
  const { exitCode, stderr } = await run.ended;
  assert.equal(exitCode, 0, stderr);
  assert.match(stderr, /"reason":"cannot connect to .*nothing listens there/);
});

test('SIGTERM ends the waiting, and a wait that is over is exit code 2', async (t) => {
  const { night, server } = await tooEarly(t);
  const waiting = night.start('run', 'job.yaml');
  await until(() => waiting.output().stderr.includes('waiting for the database'), waiting.ended);
  waiting.signal('SIGTERM');
  assert.equal((await waiting.ended).exitCode, 143);
  const file = path.join(night.folder, 'job.yaml');
  const { exitCode, stderr } = await night.nightfill('run', file, '--database-wait', '300ms');
  assert.deepEqual([exitCode, server.log], [2, []]);
  assert.match(stderr, /nothing listens there/);
});

test('a schedule that comes up before the database makes up for the last night all the same', async (t) => {
  const { night, bringUp, direct } = await tooEarly(t, { schedule: '0 0 * * *' });
  const early = night.environment['DATABASE_URL']!;
  night.environment['DATABASE_URL'] = direct;
  const [file, report] = [path.join(night.folder, 'job.yaml'), path.join(night.folder, 'report.json')];
  assert.equal((await night.nightfill('run', file, '--date', '2020-01-01', '--report', report)).exitCode, 0);
  night.environment['DATABASE_URL'] = early;
  const schedule = night.start('schedule', 'job.yaml');
  await until(() => schedule.output().stderr.includes('waiting for the database'), schedule.ended);
  await bringUp();
  await until(() => schedule.output().stderr.includes('"ended"'), schedule.ended);
  schedule.signal('SIGTERM');
  const { exitCode, stderr } = await schedule.ended;
  assert.equal(exitCode, 0, stderr);
  assert.match(stderr, /the last start was missed; catching up/);
  assert.match(stderr, /"exitCode":0,"msg":"ended"/);
});
