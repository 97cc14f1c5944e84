import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { listAndLookUp, scriptedNight } from '../../support/scripted-job.ts';

test('a token server that rests for longer than the night has stops it, nobody fails, and the next run goes on', async (t) => {
  const answer = listAndLookUp(Array.from({ length: 60 }, (_, n) => ({ id: `c${n}` })));
  let issued = 0;
  let lookups = 0;
  let resting = false;
  const { night, server } = await scriptedNight(t, {
    script: (request) => {
      if (request.url === '/token')
        return resting
          ? { status: 429, headers: { 'retry-after': '7200' }, body: '' }
          : { json: { access_token: `token-${(issued += 1)}`, expires_in: 3600 } };
      if (request.headers.authorization !== `Bearer token-${issued}` || resting) return { status: 401, json: {} };
      if (request.url !== '/contracts' && (lookups += 1) === 30) resting = true;
      return answer(request);
    },
  });
  const job = JSON.parse(await night.read('job.yaml')) as { apis: { crm: Record<string, unknown> } };
  Object.assign(job.apis.crm, {
    auth: { type: 'oauth2', tokenUrl: `${server.origin}/token`, clientId: 'me', clientSecret: { env: 'CRM_TOKEN' } },
    limits: { concurrency: 5 },
  });
  await night.write('job.yaml', { ...job, chunk: { size: 10 } });
  const file = path.join(night.folder, 'job.yaml');
  const finishBy = new Date(Date.now() + 30 * 60_000).toISOString();
  const run = async (report: string) =>
    night.nightfill('run', file, '--finish-by', finishBy, '--report', path.join(night.folder, report));

  const begun = Date.now();
  const stopped = await run('first.json');
  assert.equal(stopped.exitCode, 6, stopped.stdout + stopped.stderr);
  const { counts, run: figures } = await night.report('first.json');
  assert.deepEqual([counts.failed, counts.enriched + counts.notStarted], [0, 60]);
  assert.ok(counts.enriched >= 20, `${counts.enriched} enriched`);
  // The reason says until when.
  const until = Date.parse(/until (\S+Z)/.exec(figures.reason ?? '')?.[1] ?? '');
  assert.ok(until >= begun + 7_200_000 && until < Date.now() + 7_200_000, String(figures.reason));
  assert.equal(server.log.filter((line) => line === 'POST /token').length, 2);

  resting = false;
  assert.equal((await run('second.json')).exitCode, 0);
});
