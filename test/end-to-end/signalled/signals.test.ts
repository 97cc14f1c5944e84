import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import assert from 'node:assert/strict';
import { startNight, until, type Night, type Running } from '../../support/night.ts';
import { scriptedJob, scriptedNight } from '../../support/scripted-job.ts';
import type { RecordedRequest, ScriptedAnswer } from '../../support/scripted-server.ts';
import { startTcpProxy } from '../../support/tcp-proxy.ts';

const keys = ['c1', 'c2', 'c3'];
const never = new Promise<undefined>(() => {});

/** Lists `keys` on two pages and answers each lookup. */
function ordinary({ url }: Pick<RecordedRequest, 'url'>): ScriptedAnswer {
  const key = /^\/contracts\/(\w+)/.exec(url)?.[1];
  if (key) return { json: { id: key } };
  const [first, ...rest] = keys.map((id) => ({ id }));
  return url.includes('after=') ? { json: { data: rest } } : { json: { data: [first], next: '2' } };
}

interface Trouble {
  /** What the server does instead of answering, on a first attempt at the night. */
  script?: (request: RecordedRequest) => ScriptedAnswer | undefined | Promise<ScriptedAnswer | undefined>;
  api?: object;
  schema?: boolean;
}

/** A night whose server gives trouble until it is told to behave. */
async function troubledNight(t: TestContext, { script = () => undefined, api = {}, schema = true }: Trouble) {
  let troubled = true;
  const job = (extra: object): Parameters<typeof scriptedJob>[1] => ({
    api: { timeout: '10m', retry: { attempts: 5, baseDelay: '1ms', maxElapsed: '1h' }, ...extra },
    contracts: { paginate: { type: 'cursor', next: 'next', param: 'after' } },
    chunk: { size: 1 },
  });
  const { server, night } = await scriptedNight(t, {
    script: async (request) => (troubled ? await script(request) : undefined) ?? ordinary(request),
    job: job(api)!,
    schema,
  });
  const behave = async (): Promise<void> => {
    troubled = false;
    await night.write('job.yaml', scriptedJob(server.origin, job({})));
  };
  return { server, night, behave };
}

/** Says stop once, and expects what every stopped run leaves: its report, no lease, nothing half. */
async function stopOnce(night: Night, running: Running, signal: 'SIGINT' | 'SIGTERM'): Promise<void> {
  running.signal(signal);
  const { exitCode, stderr } = await running.ended;
  const expected = signal === 'SIGINT' ? 130 : 143;
  assert.equal(exitCode, expected, stderr);
  const { run, counts } = await night.report();
  assert.deepEqual([run.status, run.exitCode], ['stopped', expected]);
  assert.equal((await night.query('SELECT FROM contracts')).length, counts.enriched);
  assert.deepEqual(await night.query('SELECT FROM nightfill.lease'), []);
}

async function finishNight(night: Night): Promise<void> {
  const { exitCode, stderr } = await night.nightfill('run', 'job.yaml');
  assert.equal(exitCode, 0, stderr);
  const loaded = await night.query<{ id: string }>('SELECT id FROM contracts ORDER BY 1');
  assert.deepEqual(
    loaded.map(({ id }) => id),
    keys,
  );
}

const isListing = ({ url }: RecordedRequest): boolean => !url.startsWith('/contracts/');
const isOf =
  (key: string) =>
  ({ url }: RecordedRequest): boolean =>
    url === `/contracts/${key}`;
const unavailable = (retryAfter: number): ScriptedAnswer => ({
  status: 503,
  headers: { 'retry-after': String(retryAfter) },
  json: {},
});

/** What a run waits for when it is told to stop; `asked` tells that it does. */
const waits: Record<string, Trouble & { asked: (requests: readonly RecordedRequest[]) => boolean; graceless?: true }> =
  {
    'a page of the listing that never comes': {
      script: async (request) => (request.url.includes('after=') ? never : undefined),
      asked: (requests) => requests.some(({ url }) => url.includes('after=')),
      graceless: true,
    },
    'an answer that never comes': {
      script: async (request) => (isOf('c2')(request) ? never : undefined),
      asked: (requests) => requests.some(isOf('c2')),
    },
    'the time that the server asks to wait': {
      script: (request) => (isOf('c2')(request) ? unavailable(600) : undefined),
      asked: (requests) => requests.some(isOf('c2')),
    },
    'a circuit breaker that is open': {
      script: (request) => (isListing(request) ? undefined : unavailable(0)),
      api: { breaker: { failures: 2, openFor: '30m' } },
      asked: (requests) => requests.filter((request) => !isListing(request)).length >= 2,
    },
    'a turn under a rate limit': {
      api: { limits: { concurrency: 1, rates: [{ requests: 3, per: '1h' }] } },
      asked: (requests) => requests.length >= 3,
    },
  };

describe('a run that is told to stop', { concurrency: 2 }, () => {
  for (const [index, [what, { asked, graceless, ...trouble }]] of Object.entries(waits).entries())
    test(`while it waits for ${what}`, async (t) => {
      const { server, night, behave } = await troubledNight(t, trouble);
      // Far beyond the test's own time where nothing is in flight that would deserve it.
      const running = night.start('run', 'job.yaml', '--grace', graceless ? '1h' : '500ms');
      await until(() => asked(server.requests), running.ended);
      await stopOnce(night, running, index % 2 === 0 ? 'SIGINT' : 'SIGTERM');
      await behave();
      await finishNight(night);
    });

  test('amid the second chance', async (t) => {
    let failed = false;
    const { server, night, behave } = await troubledNight(t, {
      async script(request) {
        if (!isOf('c2')(request)) return undefined;
        if (failed) return never;
        failed = true;
        return unavailable(0);
      },
      api: { retry: { attempts: 1 } },
    });
    const running = night.start('run', 'job.yaml', '--grace', '100ms');
    await until(() => server.requests.filter(isOf('c2')).length === 2, running.ended);
    await stopOnce(night, running, 'SIGTERM');
    await behave();
    await finishNight(night);
  });

  test('while another session keeps the target locked', async (t) => {
    const { server, night, behave } = await troubledNight(t, {
      script: async (request) => (isOf('c2')(request) ? gate.promise : undefined),
    });
    const gate = Promise.withResolvers<undefined>();
    const running = night.start('run', 'job.yaml', '--grace', '100ms');
    await until(() => server.requests.some(isOf('c2')), running.ended);
    await night.whileLocked('LOCK TABLE contracts', async () => {
      gate.resolve(undefined);
      await until(async () => {
        const waiting = await night.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        );
        return waiting.length > 0;
      }, running.ended);
      running.signal('SIGTERM');
      assert.equal((await running.ended).exitCode, 143);
    });
    const { run } = await night.report();
    assert.equal(run.status, 'stopped');
    assert.deepEqual(await night.query('SELECT FROM nightfill.lease'), []);
    await behave();
    await finishNight(night);
  });

  test('while it waits for another run of the job', async (t) => {
    const { server, night, behave } = await troubledNight(t, { script: async () => never });
    const holder = night.start('run', 'job.yaml', '--grace', '1ms');
    await until(() => server.requests.length > 0, holder.ended);
    const waiting = night.start('run', 'job.yaml', '--if-running', 'wait', '--report', 'waiting.json');
    await until(() => waiting.output().stderr.includes('waiting for another run of scripted (run '), waiting.ended);
    waiting.signal('SIGINT');
    const { exitCode, stderr } = await waiting.ended;
    assert.equal(exitCode, 130, stderr);
    assert.match(stderr, /^nightfill: stopped by SIGINT$/m);
    assert.equal((await night.query('SELECT FROM nightfill.run')).length, 1);
    await stopOnce(night, holder, 'SIGTERM');
    await behave();
    await finishNight(night);
  });

  test('a second time, while the schema is being made by somebody else', async (t) => {
    const { night } = await troubledNight(t, { schema: false });
    await night.whileLocked(`SELECT pg_advisory_xact_lock(hashtextextended('nightfill.migrate', 0))`, async () => {
      const running = night.startProcess('run', 'job.yaml');
      await until(async () => {
        const waiting = await night.query(
          `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'`,
        );
        return waiting.length > 0;
      }, running.ended);
      running.signal('SIGTERM');
      running.signal('SIGINT');
      const { exitCode, stderr } = await running.ended;
      assert([130, 143].includes(exitCode!), stderr);
    });
    await finishNight(night);
  });

  test('a third time, while its database says nothing at all', async (t) => {
    const { server, night, behave } = await troubledNight(t, {
      script: async (request) => (isOf('c2')(request) ? never : undefined),
    });
    const direct = night.databaseUrl;
    const proxy = await startTcpProxy(direct);
    t.after(async () => proxy[Symbol.asyncDispose]());
    night.environment['DATABASE_URL'] = proxy.url;
    const running = night.startProcess('run', 'job.yaml');
    await until(() => server.requests.some(isOf('c2')), running.ended);
    proxy.hold();
    running.signal('SIGINT');
    await until(() => running.output().stderr.includes('a second signal'), running.ended);
    const ask = setInterval(() => running.signal('SIGINT'), 100);
    const { exitCode, stderr } = await running.ended.finally(() => clearInterval(ask));
    assert.equal(exitCode, 130, stderr);
    assert.match(stderr, /SIGINT: ended without cleanup; the next run takes over/);
    proxy.cut();
    night.environment['DATABASE_URL'] = direct;
    await behave();
    await finishNight(night);
  });

  test('as the embedded server starts', async (t) => {
    const night = await startNight(t, { databaseUrl: null });
    const files = path.join(night.folder, '.nightfill', 'postgres');
    const running = night.start('demo', '--contracts', '5');
    await until(() => existsSync(files), running.ended);
    running.signal('SIGTERM');
    const { exitCode, stderr } = await running.ended;
    assert.equal(exitCode, 143, stderr);
    assert(!existsSync(path.join(files, 'data', 'postmaster.pid')), 'no server is left running');
    const again = await night.nightfill('demo', '--contracts', '5', '--faults', 'missing=0.9');
    assert.equal(again.exitCode, 4, again.stderr);
    // What a demo advises works as it is printed, though its APIs have ended with it.
    const [, advised] = /^ {2}nightfill (.*) fetches again what failed/m.exec(again.stdout)!;
    const mended = await night.nightfill(...advised!.split(' '));
    assert.equal(mended.exitCode, 0, mended.stderr);
    assert.match(mended.stdout, /5 listed = 5 enriched/);
  });
});
