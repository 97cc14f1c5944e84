import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { readChunk } from '../../../src/ledger/planned-work.ts';
import type { Report } from '../../../src/report/schema.ts';
import { scriptedNight } from '../../support/scripted-job.ts';
import type { ScriptedAnswer } from '../../support/scripted-server.ts';

const ids = Array.from({ length: 12 }, (_, index) => `c${index}`);
const error = { status: 500, json: { error: 'boom' } };

/** A night over twelve contracts, each request for one answered by `answer` with how often that one was asked before. */
async function nightWith(
  t: TestContext,
  answer: (id: string, before: number) => ScriptedAnswer,
  job: Parameters<typeof scriptedNight>[1]['job'] = {},
) {
  const asked = new Map<string, number>();
  const { server, night } = await scriptedNight(t, {
    script({ url }) {
      const id = /^\/contracts\/([^?]+)/.exec(url)?.[1];
      if (id === undefined) return { json: { data: ids.map((one) => ({ id: one })) } };
      const before = asked.get(id) ?? 0;
      asked.set(id, before + 1);
      return answer(id, before);
    },
    job: { ...job, api: { retry: { attempts: 3, baseDelay: '30ms', jitter: false }, ...job.api } },
  });
  const report = ['--report', `${night.folder}/report.json`];
  const run = async (...command: string[]): Promise<Report> => {
    const ended = await night.nightfill(...command, ...report);
    assert.equal(ended.exitCode, 3, ended.stdout + ended.stderr);
    return night.report('report.json');
  };
  return { night, server, asked, run, start: async () => run('run', `${night.folder}/job.yaml`) };
}

const good = (id: string): ScriptedAnswer => ({ json: { id } });
const of = ({ failures }: Report) =>
  failures.map(({ key, attempts, code, advice }) => [key, attempts, code, advice.action]);

test('a record that fails again in the same way while others are answered is asked once more only, and is to be mended', async (t) => {
  const { asked, run, start } = await nightWith(t, (id) => (id === 'c3' ? error : good(id)));
  const first = await start();
  assert.equal(asked.get('c3'), 3 + 1);
  assert.deepEqual(of(first), [['c3', 4, 'HTTP_500', 'fix-record']]);
  assert.deepEqual(first.chunks[0]!.advice, { action: 'fix-record' });
  // Alone, it has nobody beside it that would show whether the API is up; what was found in the night stays.
  const again = await run('rerun', 'latest');
  assert.equal(asked.get('c3'), 2 * (3 + 1));
  assert.deepEqual(of(again), [['c3', 8, 'HTTP_500', 'fix-record']]);
});

test('a record that failed in an earlier run and fails again beside others is to be mended', async (t) => {
  let down = true;
  const { asked, run, start } = await nightWith(t, (id) =>
    // In the rerun c4 is answered after c3 has failed first.
    down || id === 'c3' || (id === 'c4' && asked.get(id)! <= 5) ? error : good(id),
  );
  const { failures } = await start();
  assert(failures.length === ids.length && failures.every(({ advice }) => advice.action === 'retry-now'));
  down = false;
  assert.deepEqual(of(await run('rerun', 'latest')), [['c3', 8, 'HTTP_500', 'fix-record']]);
});

test('in an outage that lasts nobody is told to mend a record', async (t) => {
  let answered = 0;
  const { asked, start } = await nightWith(t, (id) => ((answered += 1) > 5 ? error : good(id)), {
    api: { limits: { concurrency: 1 } },
  });
  const report = await start();
  assert.deepEqual(
    of(report),
    ids
      .slice(5)
      .toSorted()
      .map((id) => [id, 4, 'HTTP_500', 'retry-now']),
  );
  assert(ids.slice(5).every((id) => asked.get(id) === 4));
});

test('a record that fails in another way, or is answered, is not to be mended', async (t) => {
  const { asked, start } = await nightWith(t, (id, before) => {
    if (id === 'c3') return before < 3 ? error : { status: 502, json: {} };
    return id === 'c4' && before < 3 ? error : good(id);
  });
  assert.deepEqual(of(await start()), [['c3', 4, 'HTTP_502', 'retry-now']]);
  assert.deepEqual([asked.get('c3'), asked.get('c4')], [4, 4]);
});

test('of a batch that fails again nobody is told that it was their record, and it is asked once more only', async (t) => {
  const { server, start } = await nightWith(t, () => error, {
    lookups: {
      usage: { api: 'crm', path: '/usage', batch: { size: 4, param: 'ids', key: 'id' } },
    },
    load: { table: 'contracts', key: ['id'], columns: { id: { from: 'usage.id', type: 'text' } } },
    controls: [],
  });
  const script = (url: string): ScriptedAnswer => {
    const wanted = new URL(url, 'http://x').searchParams.get('ids')?.split(',');
    if (!wanted) return { json: { data: ids.map((id) => ({ id })) } };
    return wanted.includes('c3') ? error : { json: wanted.map((id) => ({ id })) };
  };
  server.answerWith(({ url }) => script(url));
  const report = await start();
  const batches = server.log.filter((line) => line.includes('c3'));
  assert.equal(batches.length, 3 + 1);
  assert.deepEqual(
    of(report),
    ['c0', 'c1', 'c2', 'c3'].map((id) => [id, 4, 'HTTP_500', 'retry-now']),
  );
});

test('a record that is unusable as listed is not asked for, however often the night is run again', async (t) => {
  const { server, run, start } = await nightWith(t, good);
  server.answerWith(({ url }) => (url === '/contracts' ? { json: { data: [{ id: 'a' }, {}] } } : good('a')));
  const attempts = ({ failures }: Report): unknown => failures.map(({ stage, attempts: times }) => [stage, times]);
  assert.deepEqual(attempts(await start()), [['list', 1]]);
  assert.deepEqual(attempts(await run('rerun', 'latest')), [['list', 1]]);
});

test('only what failed in this run for a transient cause and need not wait long has a second chance', async (t) => {
  const { night, start } = await nightWith(t, (id) =>
    id < 'c2' ? error : id === 'c2' ? { status: 404, json: {} } : good(id),
  );
  const { run } = await start();
  const [{ instance }] = (await night.query<{ instance: string }>('SELECT id AS instance FROM nightfill.instance')) as [
    { instance: string },
  ];
  const chosen = async (secondChanceOf: string): Promise<string[]> =>
    (await readChunk(night.database, { instance, number: 1 }, { secondChanceOf })).contracts.map(({ key }) => key);
  assert.deepEqual(await chosen(run.id), ['c0', 'c1', 'c10', 'c11']);
  await night.query(`UPDATE nightfill.failure SET advice_after = now() + interval '1 hour' WHERE key = 'c1'`);
  assert.deepEqual(await chosen(run.id), ['c0', 'c10', 'c11']);
  assert.deepEqual(await chosen(instance), []);
});
