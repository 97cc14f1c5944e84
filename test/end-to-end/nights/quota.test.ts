import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Night, until } from '../../support/night.ts';
import { listAndLookUp, scriptedJob, scriptedNight } from '../../support/scripted-job.ts';

const contracts = Array.from({ length: 20 }, (_, index) => ({ id: `C-${index + 1}` }));
const script = listAndLookUp(contracts);
const run = ['run', 'job.yaml', '--date', '2026-03-01', '--report', 'report.json'];

const withQuota = (quota: object) => ({ api: { limits: { concurrency: 4, quota } }, chunk: { size: 4 } });

async function used(night: Night): Promise<number[]> {
  const rows = await night.query<{ requests: number }>(
    'SELECT requests::integer AS requests FROM nightfill.quota_use ORDER BY day',
  );
  return rows.map(({ requests }) => requests);
}

/** As if what was used so far had been used a day earlier. */
const nextDay = async (night: Night) => night.query('UPDATE nightfill.quota_use SET day = day - 1');

describe('a daily quota', { concurrency: 3 }, () => {
  test('the run stops before it eats the reserve, and goes on when the quota has renewed', async (t) => {
    const { night, server } = await scriptedNight(t, {
      script,
      job: withQuota({ requests: 20, per: 'day', reserve: '20%' }),
    });
    const first = await night.nightfill(...run);
    assert.equal(first.exitCode, 6, first.stderr);
    // One for the listing and three chunks of four; a fourth one could have made 17, and 4 of the 20 stay untouched.
    assert.equal(server.requests.length, 13);
    const { run: ended, counts, chunks } = await night.report('report.json');
    assert.deepEqual([ended.status, ended.exitCode], ['stopped', 6]);
    assert.match(
      ended.reason!,
      /^the quota of API "crm" for \d{4}-\d\d-\d\d is 20 requests: 13 are used, and 4 are reserved for others; another chunk needs up to 4; it renews at \d{4}-\d\d-\d\dT00:00:00\.000Z$/,
    );
    assert.deepEqual([counts.enriched, counts.failed, counts.notStarted], [12, 0, 8]);
    assert.deepEqual(
      chunks.map(({ status }) => status),
      ['succeeded', 'succeeded', 'succeeded', 'not-started', 'not-started'],
    );
    const renewsAt = ended.reason!.split(' ').at(-1)!;
    assert.deepEqual(
      chunks.slice(2).map(({ reason, advice }) => [reason, advice]),
      [[null, null], ...Array.from({ length: 2 }, () => [ended.reason, { action: 'retry-after', after: renewsAt }])],
    );
    assert.deepEqual(await used(night), [13]);

    const sameDay = await night.nightfill(...run);
    assert.equal(sameDay.exitCode, 6);
    assert.equal(server.requests.length, 13, 'nothing is asked before the quota renews');

    await nextDay(night);
    const later = await night.nightfill(...run);
    assert.equal(later.exitCode, 0, later.stdout + later.stderr);
    assert.equal(server.requests.length, 21, 'only what was left is asked, and nothing is listed again');
    assert.equal((await night.report('report.json')).counts.enriched, 20);
    assert.deepEqual(await used(night), [13, 8]);
  });

  test('jobs that call the same API share its quota, and one that finds it used up does not even list', async (t) => {
    const job = withQuota({ requests: 22, reserve: '0%' });
    const { night, server } = await scriptedNight(t, { script, job });
    assert.equal((await night.nightfill(...run)).exitCode, 0);
    assert.deepEqual(await used(night), [21]);
    await night.write('other.yaml', { ...scriptedJob(server.origin, { ...job, ...others }), name: 'other' });
    const other = ['run', 'other.yaml', '--date', '2026-03-01', '--report', 'other.json'];
    assert.equal((await night.nightfill(...other)).exitCode, 6);
    assert.equal(server.requests.length, 22, 'the last request goes to its listing');
    assert.equal((await night.report('other.json')).counts.notStarted, 20);

    await night.write('third.yaml', { ...scriptedJob(server.origin, { ...job, ...others }), name: 'third' });
    const third = await night.nightfill('run', 'third.yaml', '--date', '2026-03-01', '--report', 'third.json');
    assert.equal(third.exitCode, 6);
    assert.equal(server.requests.length, 22);
    const report = await night.report('third.json');
    assert.deepEqual([report.run.status, report.counts.listed], ['stopped', 0]);
    assert.match(report.run.reason!, /is 22 requests: 22 are used, .*; the listing needs at least 1; it renews at/);
    await nextDay(night);
    assert.equal((await night.nightfill('run', 'third.yaml', '--date', '2026-03-01')).exitCode, 0);
  });

  const others = {
    load: { table: 'others', key: ['id'], columns: { id: { from: 'contract.id', type: 'text' } } },
    controls: [],
  };

  test('two entries for one API use up one quota, and each sees at once what the other has sent', async (t) => {
    const job = withQuota({ requests: 30, reserve: '0%' });
    const { night, server } = await scriptedNight(t, { script, job });
    const { apis, ...rest } = scriptedJob(server.origin, job) as { apis: { crm: object } };
    const lookups = {
      contract: { api: 'crm', path: '/contracts/{key}' },
      again: { api: 'search', path: '/contracts/{key}', query: { again: 1 } },
    };
    await night.write('job.yaml', { ...rest, apis: { ...apis, search: apis.crm }, lookups });
    assert.equal((await night.nightfill(...run)).exitCode, 6);
    // One for the listing, and three chunks of four with two each.
    assert.equal(server.requests.length, 25);
    assert.deepEqual(await used(night), [25]);
  });

  test('a chunk that no day has room for says so', async (t) => {
    const { night } = await scriptedNight(t, { script, job: withQuota({ requests: 5, reserve: '40%' }) });
    const ended = await night.nightfill(...run);
    assert.equal(ended.exitCode, 6);
    assert.match((await night.report('report.json')).run.reason!, /more than a whole day allows, so lower chunk\.size/);
  });

  for (const [what, { header, value, quota, requests }] of Object.entries({
    // 60 of others, so 40 are left less the 20 of the reserve: the listing, and four chunks of four.
    'used of all, as Salesforce tells it': {
      header: 'Sforce-Limit-Info',
      value: (sent: number) => `api-usage=${60 + sent}/100`,
      quota: { header: 'sforce-limit-info', reserve: '20%' },
      requests: 17,
    },
    // 30 are left after the listing, so 3 are the reserve: room for six chunks.
    'what is left, and nothing else': {
      header: 'X-Quota-Left',
      value: (sent: number) => String(20 - sent),
      quota: { header: 'X-Quota-Left', reserve: '10%' },
      requests: 17,
    },
    'what is left, of as many as the job file says': {
      header: 'X-Quota-Left',
      value: (sent: number) => String(20 - sent),
      quota: { header: 'X-Quota-Left', requests: 100, reserve: '9%' },
      requests: 9,
    },
  })) {
    test(`the API's own header decides when it tells ${what}`, async (t) => {
      const { night, server } = await scriptedNight(t, {
        script: (request) => ({ ...script(request), headers: { [header]: value(server.requests.length) } }),
        job: withQuota(quota),
      });
      const ended = await night.nightfill(...run);
      assert.equal(ended.exitCode, 6, ended.stdout + ended.stderr);
      assert.equal(server.requests.length, requests);
      assert.equal((await night.nightfill(...run)).exitCode, 6);
      assert.equal(server.requests.length, requests, 'what the header said is known to the next run');
      await nextDay(night);
      server.answerWith(script);
      assert.equal((await night.nightfill(...run)).exitCode, 0);
    });
  }

  test('a header that never comes is told, and the night goes on', async (t) => {
    const { night } = await scriptedNight(t, { script, job: withQuota({ header: 'X-Nowhere', reserve: '20%' }) });
    const ended = await night.nightfill(...run);
    assert.equal(ended.exitCode, 0);
    assert.match(ended.stderr, /no answer had the header that limits.quota names/);
  });

  test('what a killed run had sent counts, but for the last seconds', async (t) => {
    let latency = 1_000;
    const { night, server } = await scriptedNight(t, {
      script: async (request) => {
        if (request.url !== '/contracts') await delay(latency);
        return script(request);
      },
      job: { ...withQuota({ requests: 1000, reserve: '20%' }), chunk: { size: 20 } },
    });
    const running = night.startProcess(...run);
    let kept = 0;
    await until(async () => {
      [kept = 0] = await used(night).catch(() => []);
      return kept >= 5;
    }, running.ended);
    const sent = server.requests.length;
    running.process.kill('SIGKILL');
    await running.ended;
    assert.ok(kept <= sent);
    assert.deepEqual(await used(night), [kept]);
    latency = 1;
    const again = await night.nightfill(...run);
    assert.equal(again.exitCode, 0, again.stderr);
    assert.deepEqual(await used(night), [kept + 20]);
  });
});
