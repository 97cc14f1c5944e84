import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { loadJob, openDatabase, rerunJob, runJob, type Job, type Report } from '../src/index.ts';
import type { RunResult } from '../src/jobs/run/run.ts';
import { createDatabase, rowsOf } from './support/database.ts';
import { listAndLookUp, scriptedJob } from './support/scripted-job.ts';
import { ScriptedServer, type Script } from './support/scripted-server.ts';

/** A job whose API is answered by `script`, as a program loads it. */
async function programme(t: TestContext, script: Script): Promise<{ job: Job; url: string }> {
  const server = await ScriptedServer.start(script);
  t.after(async () => server[Symbol.asyncDispose]());
  const folder = await mkdtemp(path.join(tmpdir(), 'nightfill-library-'));
  t.after(async () => rm(folder, { recursive: true }));
  const file = path.join(folder, 'job.yaml');
  await writeFile(file, JSON.stringify(scriptedJob(server.origin)));
  const { url } = await createDatabase(t, { template: 'empty' });
  return { job: await loadJob(file, { environment: { CRM_TOKEN: 'hush' } }), url };
}

function reportOf(result: RunResult): Report {
  assert.ok('report' in result);
  return result.report;
}

test('a program runs a night, and again what failed, with nothing but a job and a database', async (t) => {
  let isMended = false;
  const answer = listAndLookUp([{ id: 'a' }, { id: 'b' }], (id) => (id === 'b' && !isMended ? undefined : { id }));
  const { job, url } = await programme(t, answer);
  await using database = await openDatabase(url);
  const first = reportOf(await runJob(job, { database }));
  assert.deepEqual([first.run.status, first.run.trigger, first.counts.failed], ['partial', 'manual', 1]);
  isMended = true;
  const second = reportOf(await rerunJob(job, { database }));
  assert.deepEqual([second.run.status, second.run.rerunOf, second.counts.enriched], ['succeeded', first.run.id, 2]);
  const again = await runJob(job, { database, businessDate: first.run.businessDate });
  assert.ok('nothingToDo' in again);
  assert.deepEqual(await rowsOf(url, 'SELECT id FROM contracts ORDER BY id'), [{ id: 'a' }, { id: 'b' }]);
});

test('a program that stops a run with a reason of its own gets a report that says so, and goes on later', async (t) => {
  const stopping = new AbortController();
  const records = Array.from({ length: 40 }, (_, index) => ({ id: `c${index}` }));
  const answer = listAndLookUp(records);
  const { job, url } = await programme(t, (request) => {
    if (request.url === '/contracts/c0') stopping.abort(new Error('the machine is going down'));
    return answer(request);
  });
  const small = { ...job, chunk: { ...job.chunk, size: 2 } };
  await using database = await openDatabase(url);
  const stopped = reportOf(await runJob(small, { database, stopping: stopping.signal }));
  assert.deepEqual([stopped.run.status, stopped.run.reason], ['stopped', 'stopped: the machine is going down']);
  assert.ok(stopped.counts.notStarted > 0);
  const rest = reportOf(await runJob(small, { database, businessDate: stopped.run.businessDate }));
  assert.deepEqual([rest.run.status, rest.counts.enriched], ['succeeded', 40]);
});

test('an address that is none is refused before anything is opened', async () => {
  await assert.rejects(openDatabase(''), { code: 'DATABASE_URL_INVALID' });
  await assert.rejects(openDatabase('mysql://db.example/night'), { code: 'DATABASE_URL_INVALID' });
});
