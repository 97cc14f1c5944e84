import { describe, test, type TestContext } from 'node:test';
import assert from 'node:assert/strict';
import { until, type Ended, type Night } from '../../support/night.ts';
import { listAndLookUp, scriptedNight } from '../../support/scripted-job.ts';

const date = '2026-01-02';
const keys = Array.from({ length: 20 }, (_, index) => `c${String(index + 1).padStart(2, '0')}`);

interface Source {
  price: string;
  gone: Set<string>;
  /** Requests whose path matches are refused with 401. */
  refused: RegExp | undefined;
  /** Requests whose path matches are never answered. */
  hangs: RegExp | undefined;
}

type Command = (...words: string[]) => Promise<Omit<Ended, 'signal'>>;

/** Twenty contracts in four chunks; `run` and `rerun` of one date, in this process. */
async function nightOf(t: TestContext, commit: 'run' | 'chunk') {
  const source: Source = { price: '1.00', gone: new Set(), refused: undefined, hangs: undefined };
  const { night, server } = await scriptedNight(t, {
    script(request) {
      if (source.hangs?.test(request.url)) return undefined;
      if (source.refused?.test(request.url)) return { status: 401, json: {} };
      return listAndLookUp(
        keys.map((id) => ({ id, amount: source.price, currency: 'EUR' })),
        (id) => (source.gone.has(id) ? undefined : { id, amount: source.price }),
      )(request);
    },
    job: { commit, chunk: { size: 5 }, failures: { stopAbove: '100%' } },
  });
  const run: Command = async (...words) =>
    night.nightfill('run', 'job.yaml', '--date', date, '--report', 'report.json', ...words);
  const rerun: Command = async (...words) => night.nightfill('rerun', ...words, '--report', 'report.json');
  return { night, server, source, run, rerun };
}

const target = async (night: Night): Promise<string[]> =>
  (
    await night.query<{ line: string }>(
      `SELECT amount || ' × ' || count(*) AS line FROM contracts GROUP BY amount ORDER BY amount`,
    )
  ).map(({ line }) => line);

/** How many rows each plan of the date holds back. */
const heldBack = async (night: Night): Promise<{ generation: number; rows: number }[]> =>
  night.query(
    `SELECT generation, count(*)::integer AS rows FROM nightfill.staged JOIN nightfill.instance ON id = instance
     GROUP BY generation ORDER BY generation`,
  );

describe('a night that was held back and is planned anew', { concurrency: 2 }, () => {
  for (const [what, refused] of [
    ['its listing is refused', /^\/contracts$/],
    ['the listing has ended and its lookups are refused', /^\/contracts\//],
  ] as const)
    test(`stays whole when the start is turned away because ${what}`, async (t) => {
      const { night, source, run, rerun } = await nightOf(t, 'run');
      source.gone.add('c07');
      assert.equal((await run()).exitCode, 3);
      const held = await night.read('report.json');
      source.price = '2.00';
      source.refused = refused;
      const turnedAway = await run('--again');
      assert.equal(turnedAway.exitCode, 2, turnedAway.stderr);
      assert.match(turnedAway.stderr, /401/);
      assert.deepEqual(await heldBack(night), [{ generation: 1, rows: 19 }]);
      assert.equal(await night.read('report.json'), held);

      source.refused = undefined;
      source.price = '1.00';
      source.gone.clear();
      const mended = await rerun('latest');
      assert.equal(mended.exitCode, 0, mended.stderr);
      assert.deepEqual(await target(night), ['1.00 × 20']);
      assert.equal((await night.report('report.json')).counts.inserted, 20);
    });

  test('stays whole while the new plan is being listed, and is replaced once that has closed', async (t) => {
    const { night, server, source, run, rerun } = await nightOf(t, 'run');
    source.gone.add('c07');
    assert.equal((await run()).exitCode, 3);
    const [first] = await night.query<{ id: string }>('SELECT id FROM nightfill.run');
    source.price = '2.00';
    source.hangs = /^\/contracts$/;
    server.requests.length = 0;
    const killed = night.startProcess('run', 'job.yaml', '--date', date, '--again');
    await until(() => server.requests.length > 0, killed.ended);
    killed.process.kill('SIGKILL');
    await killed.ended;
    source.hangs = undefined;
    assert.deepEqual(await heldBack(night), [{ generation: 1, rows: 19 }]);
    const late = await rerun(first!.id);
    assert.equal(late.exitCode, 2, late.stderr);
    assert.match(
      late.stderr,
      /run --again has planned scripted anew .* nightfill run .*job\.yaml --date 2026-01-02 works/,
    );

    // The new plan fails as well: then it is the one that is held back.
    source.gone.add('c08');
    assert.equal((await run()).exitCode, 3);
    assert.deepEqual(await heldBack(night), [{ generation: 2, rows: 18 }]);
    source.gone.clear();
    const mended = await rerun('latest');
    assert.equal(mended.exitCode, 0, mended.stderr);
    assert.deepEqual(await target(night), ['2.00 × 20']);
    assert.deepEqual(await heldBack(night), []);
  });
});

test('a complete night whose new plan is turned away stays complete, with its verdict and its report', async (t) => {
  const { night, source, run } = await nightOf(t, 'chunk');
  assert.equal((await run()).exitCode, 0);
  const before = await night.read('report.json');
  source.refused = /^\/contracts/;
  assert.equal((await run('--again')).exitCode, 2);
  source.refused = undefined;
  const after = await run();
  assert.equal(after.exitCode, 0, after.stderr);
  assert.match(after.stdout, /is complete for 2026-01-02; nothing to do/);
  assert.equal(await night.read('report.json'), before);
  assert.deepEqual(await night.query('SELECT generation, status FROM nightfill.instance'), [
    { generation: 1, status: 'complete' },
  ]);
});
