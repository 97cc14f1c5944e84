import assert from 'node:assert/strict';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import type { Report } from '../../../src/report/schema.ts';
import { listAndLookUp, scriptedNight } from '../../support/scripted-job.ts';
import type { Script } from '../../support/scripted-server.ts';

const contracts = Array.from({ length: 100 }, (_, n) => ({ id: `c${n}` }));
const answer = listAndLookUp(contracts);
const refusal = { status: 401, json: { error: 'not for you' } };

async function run(t: TestContext, script: Script, job: Parameters<typeof scriptedNight>[1]['job'] = {}) {
  const { server, night } = await scriptedNight(t, {
    script,
    job: { api: { limits: { concurrency: 20 } }, chunk: { size: 20 }, ...job },
  });
  const file = path.join(night.folder, 'report.json');
  const ended = await night.nightfill('run', path.join(night.folder, 'job.yaml'), '--report', file);
  const report = async (): Promise<Report> => night.report('report.json');
  return { ...ended, server, night, report };
}

test('one contract that may not be seen is a failure of its own, and the night goes on', async (t) => {
  const { exitCode, report, server } = await run(t, ({ url, ...rest }) =>
    url === '/contracts/c50' ? refusal : answer({ url, ...rest }),
  );
  assert.equal(exitCode, 3);
  const { counts, failures } = await report();
  assert.deepEqual([counts.enriched, counts.failed, counts.notStarted], [99, 1, 0]);
  const [failure] = failures;
  assert.deepEqual(
    [failure?.key, failure?.code, failure?.httpStatus, failure?.advice.action],
    ['c50', 'CREDENTIALS_REJECTED', 401, 'fix-config'],
  );
  assert.equal(server.requests.length, 101);
});

test('credentials that are revoked in the middle of the night end it soon, and nobody else fails for it', async (t) => {
  let lookups = 0;
  const { exitCode, stdout, report, server } = await run(t, (request) => {
    if (request.url === '/contracts') return answer(request);
    lookups += 1;
    return lookups > 60 ? refusal : answer(request);
  });
  assert.equal(exitCode, 1);
  assert.match(stdout, /answered 401/);
  // Five in a row, and what was in flight by then.
  assert.ok(server.requests.length <= 61 + 5 + 2 * 20, `${server.requests.length} requests`);
  const { counts } = await report();
  assert.ok(counts.failed < 5, `${counts.failed} failed`);
  assert.equal(counts.enriched + counts.failed + counts.notStarted, 100);
});

test('a key that never was good is found out by the first answer', async (t) => {
  const { exitCode, stderr, server, night } = await run(t, (request) =>
    request.url === '/contracts' ? refusal : answer(request),
  );
  assert.equal(exitCode, 2);
  assert.match(stderr, /answered 401/);
  assert.equal(server.requests.length, 1);
  assert.deepEqual(await night.query('SELECT FROM nightfill.instance'), []);
});

for (const onFailure of ['last-known', 'null'] as const) {
  test(`nothing stands in for credentials that are refused for one contract (onFailure: ${onFailure})`, async (t) => {
    const { exitCode, report } = await run(
      t,
      ({ url, ...rest }) =>
        url === '/extra/c7' ? refusal : answer({ url: url.replace('extra', 'contracts'), ...rest }),
      {
        lookups: {
          contract: { api: 'crm', path: '/contracts/{key}' },
          extra: { api: 'crm', path: '/extra/{key}', onFailure },
        },
      },
    );
    assert.equal(exitCode, 3);
    const { counts, failures } = await report();
    assert.deepEqual([counts.enriched, counts.degraded, counts.failed], [99, 0, 1]);
    assert.deepEqual([failures[0]?.key, failures[0]?.code], ['c7', 'CREDENTIALS_REJECTED']);
  });
}
