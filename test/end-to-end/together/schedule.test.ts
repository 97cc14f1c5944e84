import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { listAndLookUp, scriptedNight } from '../../support/scripted-job.ts';
import { until, type Night, type Running } from '../../support/night.ts';

const contracts = Array.from({ length: 20 }, (_, index) => ({ id: `C-${index + 1}` }));

/** A job that was due at midnight last, in UTC, and has run before. */
async function nightly(t: TestContext, o: { catchUp?: string } = {}) {
  const { night, server } = await scriptedNight(t, {
    schema: false,
    script: listAndLookUp(contracts),
    job: { schedule: '0 0 * * *', chunk: { size: 5 }, api: { limits: { concurrency: 2 } }, ...o },
  });
  return { night, server };
}

const said = (running: Running, what: string): boolean => running.output().stderr.includes(what);

async function stopped(running: Running): Promise<void> {
  running.signal('SIGTERM');
  const { exitCode, stderr } = await running.ended;
  assert.equal(exitCode, 0, stderr);
}

const runs = async (night: Night) =>
  night.query<{ trigger: string; status: string; exitCode: number }>(
    `SELECT trigger, status, exit_code AS "exitCode" FROM nightfill.run ORDER BY started_at`,
  );

test('a start missed while the schedule was down is made up for once, when the job has run before', async (t) => {
  const { night } = await nightly(t);
  const first = night.start('schedule', 'job.yaml');
  await until(() => said(first, 'not catching up'), first.ended);
  await stopped(first);

  assert.equal((await night.nightfill('run', 'job.yaml', '--date', '2020-01-01')).exitCode, 0);
  const second = night.start('schedule', 'job.yaml');
  await until(() => said(second, '"ended"'), second.ended);
  assert.ok(said(second, 'the last start was missed; catching up'), second.output().stderr);
  await stopped(second);
  assert.deepEqual((await runs(night)).at(-1), { trigger: 'schedule', status: 'succeeded', exitCode: 0 });

  const third = night.start('schedule', 'job.yaml');
  await until(() => said(third, '"scheduled"'), third.ended);
  await delay(500);
  await stopped(third);
  assert.ok(!said(third, '"starting"'), 'a night that is complete is left alone');
});

test('a start that was missed is not made up for when a newer date is loaded', async (t) => {
  const { night } = await nightly(t);
  const report = 'newer.json';
  const run = ['run', 'job.yaml', '--date', '2999-01-01', '--report', report];
  assert.equal((await night.nightfill(...run)).exitCode, 0);
  const schedule = night.start('schedule', 'job.yaml');
  await until(() => said(schedule, 'rows of a newer date are loaded'), schedule.ended);
  await stopped(schedule);
  assert.ok(!said(schedule, '"starting"'));
});

test('with catchUp none nothing is made up for', async (t) => {
  const { night } = await nightly(t, { catchUp: 'none' });
  assert.equal((await night.nightfill('run', 'job.yaml', '--date', '2020-01-01')).exitCode, 0);
  const schedule = night.start('schedule', 'job.yaml');
  await until(() => said(schedule, '"scheduled"'), schedule.ended);
  await delay(500);
  await stopped(schedule);
  assert.equal((await runs(night)).length, 1);
});

test('a run that fails does not end the schedule, and SIGTERM lets one at work finish what is in flight', async (t) => {
  const { night, server } = await nightly(t);
  assert.equal((await night.nightfill('run', 'job.yaml', '--date', '2020-01-01')).exitCode, 0);
  server.answerWith(() => ({ status: 500 }));
  const failing = night.start('schedule', 'job.yaml');
  await until(() => said(failing, '"ended"'), failing.ended);
  assert.match(failing.output().stderr, /"exitCode":1,"msg":"ended"/);
  let isUp = true;
  void failing.ended.then(() => (isUp = false));
  await delay(100);
  assert(isUp);
  await stopped(failing);

  const answer = listAndLookUp(contracts);
  server.answerWith(async (request) => {
    if (request.url !== '/contracts') await delay(300);
    return answer(request);
  });
  const asked = server.requests.length;
  const working = night.start('schedule', 'job.yaml');
  await until(() => server.requests.length >= asked + 4, working.ended);
  await stopped(working);
  assert.match(working.output().stderr, /resuming the unfinished run/);
  assert.deepEqual((await runs(night)).at(-1), { trigger: 'schedule', status: 'stopped', exitCode: 143 });
  const chunks = await night.query<{ status: string }>(
    `SELECT DISTINCT chunk.status FROM nightfill.chunk JOIN nightfill.instance ON instance.id = instance
     WHERE business_date > '2020-01-01' ORDER BY 1`,
  );
  assert.deepEqual(
    chunks.map(({ status }) => status),
    ['not-started', 'succeeded'],
  );
});

test('a job file that is wrong is refused before anything is scheduled', async (t) => {
  const { night } = await nightly(t);
  await night.write('broken.yaml', 'name: broken\nschedule: "61 * * * *"\n');
  const refused = await night.nightfill('schedule', 'job.yaml', 'broken.yaml');
  assert.equal(refused.exitCode, 2, refused.stderr);
});
