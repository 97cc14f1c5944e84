import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Script, type ScriptedAnswer, ScriptedServer } from '../../support/scripted-server.ts';
import { until } from '../../support/night.ts';
import { scriptedJob, scriptedNight } from '../../support/scripted-job.ts';

const ids = (count: number): { id: string }[] =>
  Array.from({ length: count }, (_, index) => ({ id: `C-${index + 1}` }));

/** Answers a listing of so many contracts on one page, and each contract as `contract` does. */
function serving(count: number, contract: (key: string) => ReturnType<Script>): Script {
  return async ({ url }) => {
    if (url === '/contracts') return { json: { data: ids(count) } };
    return contract(url.slice('/contracts/'.length));
  };
}

const found = (key: string): ScriptedAnswer => ({ json: { id: key, amount: 1 } });
const keyOf = (url: string): string => url.slice('/contracts/'.length);

async function startNightOf(t: TestContext, script: Script, job: { api?: object; [part: string]: unknown } = {}) {
  const { night, server } = await scriptedNight(t, { script, job });
  const [file, report] = [`${night.folder}/job.yaml`, `${night.folder}/report.json`];
  const run = async (...options: string[]) =>
    night.nightfill('run', file, '--date', '2026-03-01', '--report', report, ...options);
  const command = async (name: string, ...options: string[]) => night.nightfill(name, ...options);
  return { night, server, file, run, command, report: async () => night.report('report.json') };
}

const within = (ms: number): string[] => ['--finish-by', new Date(Date.now() + ms).toISOString()];

function timesAsked(server: ScriptedServer): Map<string, number> {
  const asked = server.requests.filter(({ url }) => url.startsWith('/contracts/'));
  return new Map([...Map.groupBy(asked, ({ url }) => keyOf(url))].map(([key, all]) => [key, all.length]));
}

describe('an API that asks for rest', { concurrency: 2 }, () => {
  test('beyond finishBy: what came is loaded, the rest is not started and not failed, and the next run goes on', async (t) => {
    let lookups = 0;
    const script = serving(120, (key) => {
      lookups += 1;
      return lookups === 40 ? { status: 429, headers: { 'retry-after': '3600' }, body: '' } : found(key);
    });
    const { night, server, run, report } = await startNightOf(t, script, {
      api: { limits: { concurrency: 2 } },
      chunk: { size: 50 },
    });
    const first = await run(...within(60_000));
    assert.equal(first.exitCode, 6, first.stdout + first.stderr);
    const { run: ended, counts, chunks, failures } = await report();
    assert.equal(ended.status, 'stopped');
    assert.match(ended.reason!, /^API "crm" rests until \d{4}-.*Z, because it asked for that/);
    assert.deepEqual([counts.failed, failures.length], [0, 0]);
    assert.ok(counts.enriched >= 39 && counts.enriched < 50, `${counts.enriched}`);
    assert.equal(counts.enriched + counts.notStarted, 120);
    const asked = server.requests.length;
    assert.ok(asked <= 1 + 40 + 3, 'nothing is sent once it was asked to rest');

    const left = chunks.filter(({ status }) => status === 'not-started');
    // The chunk that is cut off takes its number before or after the last of the listing.
    assert.deepEqual(
      left.map(({ contracts }) => contracts).toSorted((one, other) => one - other),
      [50 - counts.enriched, 20, 50],
    );
    for (const { reason, advice } of left) {
      assert.equal(reason, ended.reason);
      assert.equal(advice?.action, 'retry-after');
      assert.ok(Math.abs(Date.parse(advice.after!) - Date.now() - 3_600_000) < 60_000);
    }

    const second = await run();
    assert.equal(second.exitCode, 0, second.stdout + second.stderr);
    assert.equal((await report()).counts.enriched, 120);
    assert.deepEqual(new Set(timesAsked(server).values()), new Set([1, 2]), 'what was loaded is not asked again');
    assert.equal(server.requests.length, 1 + 120 + 1);
    assert.deepEqual(await night.query('SELECT count(*)::integer AS rows FROM contracts'), [{ rows: 120 }]);
  });

  test('before finishBy: everybody waits, whatever maxElapsed says, and nobody fails', async (t) => {
    let lookups = 0;
    let restsUntil = 0;
    let tooEarly = 0;
    const script = serving(60, (key) => {
      lookups += 1;
      if (performance.now() < restsUntil) tooEarly += 1;
      if (lookups !== 20) return found(key);
      restsUntil = performance.now() + 600;
      return { status: 429, headers: { 'retry-after': '0.6' }, body: '' };
    });
    const { server, run, report } = await startNightOf(t, script, {
      api: { limits: { concurrency: 1 }, retry: { attempts: 1, maxElapsed: '100ms' } },
    });
    const { exitCode, stderr } = await run(...within(60_000));
    assert.equal(exitCode, 0, stderr);
    assert.equal((await report()).counts.enriched, 60);
    assert.equal(tooEarly, 0);
    assert.equal(server.requests.length, 62);
  });

  test('on the listing: the listing waits too, and when the rest is too long the night stops, to be continued', async (t) => {
    const pages: Record<string, ScriptedAnswer> = {
      '/contracts': { json: { data: ids(10), next: 'b' } },
      '/contracts?after=b': { json: { data: [{ id: 'last' }] } },
    };
    let refusals = 1;
    let rest = '0.5';
    const script: Script = ({ url }) => {
      if (url !== '/contracts?after=b') return pages[url] ?? found(keyOf(url));
      refusals -= 1;
      return refusals >= 0 ? { status: 503, headers: { 'retry-after': rest }, body: '' } : pages[url];
    };
    const { run, report } = await startNightOf(t, script, {
      api: { retry: { attempts: 1, maxElapsed: '100ms' } },
      contracts: { paginate: { type: 'cursor', next: 'next', param: 'after' } },
    });
    const waited = await run();
    assert.equal(waited.exitCode, 0, waited.stderr);
    assert.equal((await report()).counts.enriched, 11);

    [refusals, rest] = [1, '3600'];
    const stopped = await run('--again', ...within(30_000));
    assert.equal(stopped.exitCode, 6, stopped.stdout + stopped.stderr);
    assert.match(stopped.stdout, /API "crm" rests until .*, because it asked for that, last with HTTP_503/);
    assert.deepEqual((await report()).failures, []);
    const later = await run();
    assert.equal(later.exitCode, 0, later.stdout + later.stderr);
  });
});

test("while one API rests the others' work goes on, and not only for as many contracts as are worked on at once", async (t) => {
  let usageAsked = 0;
  let restedUntil = 0;
  let crmMeanwhile = 0;
  await using usage = await ScriptedServer.start(() => {
    usageAsked += 1;
    if (usageAsked > 1) return { json: { units: 1 } };
    restedUntil = performance.now() + 2_000;
    return { status: 429, headers: { 'retry-after': '2' }, body: '' };
  });
  const script = serving(200, (key) => {
    if (performance.now() < restedUntil) crmMeanwhile += 1;
    return found(key);
  });
  const { night, server, run, report } = await startNightOf(t, script);
  const limits = { concurrency: 2 };
  const job = scriptedJob(server.origin, { api: { limits }, chunk: { size: 20 } }) as { apis: object; lookups: object };
  await night.write('job.yaml', {
    ...job,
    apis: { ...job.apis, usage: { type: 'rest', baseUrl: usage.origin, limits } },
    lookups: { ...job.lookups, usage: { api: 'usage', path: '/usage/{key}' } },
  });
  const { exitCode, stderr } = await run();
  assert.equal(exitCode, 0, stderr);
  assert.equal((await report()).counts.enriched, 200);
  assert.ok(crmMeanwhile > 60, `${crmMeanwhile} requests to the other API`);
});

describe('an API that is down', { concurrency: 2 }, () => {
  const breaker = { failureRate: '50%', minimumCalls: 10, openFor: '50ms' };

  test('for a while: everybody waits for it, and nobody fails however few attempts there are', async (t) => {
    let downUntil = 0;
    let lookups = 0;
    const script = serving(150, (key) => {
      lookups += 1;
      if (lookups === 30) downUntil = performance.now() + 400;
      return performance.now() < downUntil ? { status: 503, body: 'maintenance' } : found(key);
    });
    const { run, report } = await startNightOf(t, script, {
      api: { limits: { concurrency: 10 }, retry: { attempts: 3, baseDelay: '5ms' }, breaker },
    });
    const { exitCode, stderr } = await run(...within(60_000));
    assert.equal(exitCode, 0, stderr);
    const { counts, apis } = await report();
    assert.deepEqual([counts.enriched, counts.failed], [150, 0]);
    assert.ok(apis[0]!.breaker.opened >= 1);
    assert.equal(apis[0]!.breaker.finalState, 'closed');
  });

  test('for good: what was not answered is not started, and the run says when to come back', async (t) => {
    let lookups = 0;
    const script = serving(150, (key) => {
      lookups += 1;
      return lookups > 30 ? { status: 500, body: '' } : found(key);
    });
    const { run, report, server } = await startNightOf(t, script, {
      api: {
        limits: { concurrency: 10 },
        retry: { attempts: 3, baseDelay: '5ms' },
        breaker: { ...breaker, openFor: '60s' },
      },
    });
    const { exitCode, stdout, stderr } = await run(...within(20_000));
    assert.equal(exitCode, 6, stdout + stderr);
    const { counts, run: ended } = await report();
    assert.deepEqual([counts.enriched, counts.failed, counts.notStarted], [30, 0, 120]);
    assert.match(ended.reason!, /^API "crm" rests until .*, because it seems to be down, last with HTTP_500/);
    assert.ok(server.requests.length < 120, `${server.requests.length} requests`);
  });

  test('for three records in a hundred it is not down: each fails by its own answer, and nothing waits', async (t) => {
    const dead = (key: string): boolean => Number(key.slice(2)) % 33 === 0;
    const script = serving(300, (key) => (dead(key) ? { status: 500, body: 'broken record' } : found(key)));
    const { run, report, server } = await startNightOf(t, script, {
      // The shipped breaker.
      api: { limits: { concurrency: 20 }, retry: { attempts: 3, baseDelay: '5ms' }, breaker: {} },
    });
    const { exitCode, stderr } = await run();
    assert.equal(exitCode, 3, stderr);
    const { counts, failures, apis } = await report();
    assert.deepEqual([counts.enriched, counts.failed], [291, 9]);
    assert.deepEqual(new Set(failures.map(({ code }) => code)), new Set(['HTTP_500']));
    assert.equal(apis[0]!.breaker.opened, 0);
    const asked = timesAsked(server);
    for (const { key, attempts } of failures)
      assert.deepEqual([asked.get(key!), attempts], [4, 4], '3 and a second chance');
  });

  test('and a rerun of dead records alone does not take them for an outage', async (t) => {
    const script = serving(60, (key) => (Number(key.slice(2)) % 2 === 0 ? { status: 500, body: '' } : found(key)));
    const { run, report, command, night } = await startNightOf(t, script, {
      api: { limits: { concurrency: 10 }, retry: { attempts: 2, baseDelay: '5ms' }, breaker: { openFor: '60s' } },
    });
    const first = await run();
    assert.equal(first.exitCode, 3, first.stdout + first.stderr);
    const again = await command('rerun', 'latest', '--report', `${night.folder}/report.json`);
    assert.equal(again.exitCode, 3, again.stderr);
    const { counts, apis } = await report();
    assert.deepEqual([counts.enriched, counts.failed, apis[0]!.breaker.opened], [30, 30, 0]);
  });
});

describe('an API that allows less than the job file says', { concurrency: 2 }, () => {
  test('at once: it is met at what it allows, everything is loaded, and report, plan and check say so', async (t) => {
    let inFlight = 0;
    const script = serving(300, async (key) => {
      if (inFlight >= 5) return { status: 429, json: { error: 'CONCURRENCY_LIMIT_EXCEEDED' } };
      inFlight += 1;
      await delay(40);
      inFlight -= 1;
      return found(key);
    });
    const { run, report, command, file } = await startNightOf(t, script, {
      api: { limits: { concurrency: 50 }, retry: { attempts: 2, baseDelay: '20ms' } },
    });
    const { exitCode, stdout, stderr } = await run();
    assert.equal(exitCode, 0, stderr);
    const { counts, apis } = await report();
    assert.equal(counts.enriched, 300);
    const { settled } = apis[0]!.concurrency;
    assert.ok(settled! >= 2 && settled! <= 6, `${settled}`);
    assert.ok(apis[0]!.rateLimited <= 40, `${apis[0]!.rateLimited} refusals`);
    const advice = new RegExp(
      `crm refused more than ${settled} requests in flight, and the job file allows 50; set limits.concurrency to ${settled}`,
    );
    assert.match(stdout, advice);
    assert.match((await command('plan', file)).stdout, advice);
    assert.match((await command('check', file)).stdout, advice);
  });

  for (const [how, headers] of [
    ['and names a time', { 'retry-after': '0.2' }],
    ['and names no time', {}],
  ] as const) {
    test(`per time, ${how}: the rate is lowered, the listing waits, and nobody fails`, async (t) => {
      const per = 200;
      const arrivals: number[] = [];
      const allowed = (): boolean => {
        const now = performance.now();
        while (arrivals[0] !== undefined && arrivals[0] <= now - per) arrivals.shift();
        if (arrivals.length >= 10) return false;
        arrivals.push(now);
        return true;
      };
      const script: Script = ({ url }) => {
        if (!allowed()) return { status: 429, headers, body: '' };
        const page = /^\/contracts(?:\?after=(\d+))?$/.exec(url);
        if (!page) return found(keyOf(url));
        const from = Number(page[1] ?? 0);
        const next = from + 10 < 80 ? { next: String(from + 10) } : {};
        return { json: { data: ids(80).slice(from, from + 10), ...next } };
      };
      const { run, report } = await startNightOf(t, script, {
        api: {
          limits: { concurrency: 20, rates: [{ requests: 20, per: '200ms' }] },
          retry: { attempts: 4, baseDelay: '20ms', maxElapsed: '1s' },
        },
        contracts: { paginate: { type: 'cursor', next: 'next', param: 'after' } },
      });
      const { exitCode, stdout, stderr } = await run();
      assert.equal(exitCode, 0, stdout + stderr);
      assert.equal((await report()).counts.enriched, 80);
    });
  }

  test('a wait for our own limit is no part of maxElapsed', async (t) => {
    const asked = new Set<string>();
    const script = serving(40, (key) => {
      if (asked.has(key)) return found(key);
      asked.add(key);
      return { status: 502, body: '' };
    });
    const { run, report } = await startNightOf(t, script, {
      api: {
        limits: { concurrency: 50, rates: [{ requests: 5, per: '100ms' }] },
        retry: { attempts: 3, baseDelay: '1ms', maxElapsed: '200ms' },
      },
    });
    const { exitCode, stderr } = await run();
    assert.equal(exitCode, 0, stderr);
    assert.equal((await report()).counts.enriched, 40);
  });
});

describe('what a rest must not hide', { concurrency: 2 }, () => {
  test('whole chunks that were to be fetched anew and were not are no success, and are named', async (t) => {
    let resting = false;
    const script = serving(60, (key) =>
      resting ? { status: 429, headers: { 'retry-after': '3600' }, body: '' } : found(key),
    );
    const { run, command, report, night } = await startNightOf(t, script, { chunk: { size: 20 } });
    const first = await run();
    assert.equal(first.exitCode, 0, first.stderr);
    resting = true;
    const options = ['--chunk', '1,2,3', '--whole-chunks', '--report', `${night.folder}/report.json`];
    const again = await command('rerun', 'latest', ...options, ...within(30_000));
    assert.equal(again.exitCode, 6, again.stdout + again.stderr);
    const { run: ended, counts } = await report();
    assert.equal(ended.status, 'stopped');
    assert.match(ended.reason!, /not fetched again: chunks 1,2,3; rerun --chunk 1,2,3 --whole-chunks fetches them/);
    assert.equal(counts.enriched, 60, 'what was loaded before stands');
  });

  test('few addresses that a 503 asks to wait for longer than maxElapsed wait, and nobody fails', async (t) => {
    let downUntil = 0;
    const script = serving(12, (key) => {
      downUntil ||= performance.now() + 900;
      const left = downUntil - performance.now();
      return left > 0 ? { status: 503, headers: { 'retry-after': String(left / 1_000) }, body: '' } : found(key);
    });
    const { run, report } = await startNightOf(t, script, {
      api: { limits: { concurrency: 3 }, retry: { attempts: 2, maxElapsed: '100ms' }, breaker: {} },
    });
    const { exitCode, stdout } = await run();
    assert.equal(exitCode, 0, stdout);
    assert.equal((await report()).counts.enriched, 12);
  });

  test('a night that is told to stop while an API rests does not wait for it, and loads what came', async (t) => {
    let lookups = 0;
    const script = serving(60, (key) => {
      lookups += 1;
      return lookups <= 30 ? found(key) : { status: 429, headers: { 'retry-after': '3600' }, body: '' };
    });
    const { night, report, server } = await startNightOf(t, script, { api: { limits: { concurrency: 2 } } });
    const running = night.start('run', 'job.yaml', '--date', '2026-03-01', '--report', 'report.json', '--grace', '60s');
    await until(() => running.output().stderr.includes('rests until'), running.ended);
    running.signal('SIGTERM');
    const { exitCode, stderr } = await running.ended;
    assert.equal(exitCode, 143, stderr);
    const { counts } = await report();
    assert.deepEqual([counts.enriched, counts.failed, counts.notStarted], [30, 0, 30]);
    assert.ok(server.requests.length < 40);
  });

  test('last known values stand in for an API that rests for long, as for one that is down', async (t) => {
    let resting = false;
    const script = serving(30, (key) =>
      resting ? { status: 429, headers: { 'retry-after': '3600' }, body: '' } : found(key),
    );
    const { run, report, file, night } = await startNightOf(t, script, {
      lookups: { contract: { api: 'crm', path: '/contracts/{key}', onFailure: 'last-known', maxAge: '48h' } },
    });
    assert.equal((await run()).exitCode, 0);
    resting = true;
    const next = await night.nightfill('run', file, '--date', '2026-03-02', '--report', `${night.folder}/report.json`);
    assert.equal(next.exitCode, 0, next.stdout + next.stderr);
    assert.deepEqual((await report()).counts.degraded, 30);
  });

  test('a record whose 401 is the only one left to ask fails again, and is not taken for refused credentials', async (t) => {
    const script = serving(20, (key) => (key === 'C-7' ? { status: 401, json: {} } : found(key)));
    const { run, command, report, night } = await startNightOf(t, script);
    assert.equal((await run()).exitCode, 3);
    for (const _ of [1, 2]) {
      const again = await command('rerun', 'latest', '--report', `${night.folder}/report.json`);
      assert.equal(again.exitCode, 3, again.stderr);
    }
    assert.deepEqual(
      (await report()).failures.map(({ key, code }) => [key, code]),
      [['C-7', 'CREDENTIALS_REJECTED']],
    );
  });

  test('a rerun of records that are always refused ends by itself', async (t) => {
    const odd = new Set(['C-3', 'C-9', 'C-14']);
    const script = serving(40, (key) => (odd.has(key) ? { status: 429, body: '' } : found(key)));
    const { run, command } = await startNightOf(t, script, { api: { retry: { attempts: 3, baseDelay: '5ms' } } });
    assert.equal((await run()).exitCode, 3);
    assert.equal((await command('rerun', 'latest')).exitCode, 3);
  });
});
