import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { failed, nights, plain, stored, type Source } from '../../support/changing-nights.ts';
import { until } from '../../support/night.ts';

describe('two contracts with one load key', { concurrency: 2 }, () => {
  const twice = (): Source => {
    const source = plain(5);
    source.details['c4'] = { id: 'c1', amount: '99.00', currency: 'EUR' };
    return source;
  };

  for (const commit of ['chunk', 'run']) {
    test(`in different chunks of commit: ${commit} the one loaded later fails and names the other`, async (t) => {
      const source = twice();
      const late = source.details['c4']!;
      const { night, run } = await nights(t, source, {
        commit,
        controls: [{ sum: 'amount', by: 'currency' }, { completeness: '80%' }],
      });
      source.details['c4'] = async () => {
        const first = `SELECT FROM nightfill.chunk WHERE number = 1 AND status <> 'not-started'`;
        await until(async () => (await night.query(first)).length === 1, new Promise(() => {}));
        return late;
      };
      const { counts, failures, amounts } = await run('2026-01-01', 3);
      assert.deepEqual([counts.enriched, counts.failed, counts.inserted], [4, 1, 4]);
      assert.deepEqual(
        failures.map(({ key, code, stage }) => [key, code, stage]),
        [['c4', 'DUPLICATE_KEY', 'load']],
      );
      assert.match(failures[0]!.message, /^contract c1 of chunk 1 has the same load key \["c1"\]/);
      assert.deepEqual(await stored(night), ['c1 10.00', 'c2 10.00', 'c3 10.00', 'c5 10.00']);
      assert.deepEqual([amounts[0]!.loaded, amounts[0]!.failed, amounts[0]!.variance], ['40.00', '99.00', '0.00']);
    });
  }

  test('in one chunk, where the collation of the key takes them for equal', async (t) => {
    const source = plain(2);
    source.details['c2'] = { id: 'C1', amount: '99.00', currency: 'EUR' };
    const { night, run } = await nights(t, source, {});
    await night.query(`CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`);
    await night.query(
      `CREATE TABLE contracts (id text COLLATE nocase PRIMARY KEY, name text, currency char(3), amount numeric(12,2))`,
    );
    const { failures, amounts } = await run('2026-01-01', 3);
    assert.deepEqual(
      failures.map(({ key, code }) => [key, code]),
      [['c2', 'DUPLICATE_KEY']],
    );
    assert.deepEqual(await stored(night), ['c1 10.00']);
    assert.deepEqual([amounts[0]!.loaded, amounts[0]!.failed], ['10.00', '99.00']);
  });

  test('an earlier and a later attempt: what was loaded stays', async (t) => {
    const source = twice();
    const late = source.details['c1']!;
    delete source.details['c1'];
    const { night, run, rerun } = await nights(t, source);
    await run('2026-01-01', 3);
    source.details['c1'] = late;
    const { failures, counts } = await rerun(3);
    assert.deepEqual(
      failures.map(({ key, code }) => [key, code]),
      [['c1', 'DUPLICATE_KEY']],
    );
    assert.match(failures[0]!.message, /^contract c4 of chunk 2 /);
    assert.equal(counts.enriched, 4);
    assert.deepEqual(await stored(night), ['c1 99.00', 'c2 10.00', 'c3 10.00', 'c5 10.00']);
    // Once the source is mended each has a row of its own.
    source.details['c4'] = { id: 'c4', amount: '10.00', currency: 'EUR' };
    await rerun(3, '--whole-chunks', '--chunk', '2');
    const mended = await rerun();
    assert.deepEqual([mended.counts.enriched, mended.counts.failed], [5, 0]);
    assert.deepEqual((await stored(night)).slice(0, 2), ['c1 10.00', 'c2 10.00']);
  });
});

describe('what the target holds when the night is closed', { concurrency: 2 }, () => {
  for (const commit of ['chunk', 'run'])
    test(`is looked at again, with commit: ${commit}: rows of earlier chunks may be gone or changed`, async (t) => {
      const { night, run } = await nights(t, plain(6), { commit, api: { limits: { concurrency: 1 } } });
      await night.query(`CREATE TABLE contracts (id text PRIMARY KEY, name text, currency char(3), amount numeric(12,2));
        CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          IF new.id = 'c5' THEN DELETE FROM contracts WHERE id = 'c1'; UPDATE contracts SET amount = 11 WHERE id = 'c2'; END IF;
          RETURN NULL; END $$;
        CREATE TRIGGER later AFTER INSERT ON contracts FOR EACH ROW EXECUTE FUNCTION later()`);
      assert.deepEqual(failed(await run('2026-01-01', 4)), ['keys 6 5', 'sum 60.00 51.00']);
    });

  test('is looked at again by a rerun the morning after', async (t) => {
    const source = plain(4);
    const detail = source.details['c4']!;
    delete source.details['c4'];
    const { night, run, rerun } = await nights(t, source);
    await run('2026-01-01', 3);
    await night.query(`DELETE FROM contracts WHERE id = 'c1'`);
    source.details['c4'] = detail;
    assert.deepEqual(failed(await rerun(4)), ['keys 4 3', 'sum 40.00 30.00']);
  });

  test('is not held against an older night that newer rows cover', async (t) => {
    const source = plain(4);
    delete source.details['c4'];
    const { run, rerun } = await nights(t, source);
    const monday = await run('2026-01-05', 3);
    source.details['c1'] = { id: 'c1', amount: '99.00', currency: 'EUR' };
    await run('2026-01-06', 3);
    const late = await rerun(3, monday.run.id, '--over-newer');
    assert.deepEqual(failed(late), []);
  });

  test('must be each amount as it was sent, also where differences make up for one another', async (t) => {
    const { night, run } = await nights(t, plain(2));
    await night.query(`CREATE TABLE contracts (id text PRIMARY KEY, name text, currency char(3), amount numeric(12,2));
      CREATE FUNCTION swap() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN new.amount := new.amount + CASE new.id WHEN 'c1' THEN 5 ELSE -5 END; RETURN new; END $$;
      CREATE TRIGGER swap BEFORE INSERT ON contracts FOR EACH ROW EXECUTE FUNCTION swap()`);
    const report = await run('2026-01-01', 4);
    assert.deepEqual(failed(report), ['sum 20.00 20.00']);
    assert.match(report.controls.find(({ result }) => result === 'fail')!.name, /altered in 2 of its contracts/);
  });
});

test('what the target refuses at the switch is charged to the attempt that fetched it', async (t) => {
  const source = plain(4);
  delete source.details['c4'];
  const { night, run, rerun } = await nights(t, source, { commit: 'run' });
  await run('2026-01-01', 3);
  await night.query(
    `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN IF new.id <> 'c4' THEN RAISE check_violation USING MESSAGE = 'not today'; END IF; RETURN new; END $$;
     CREATE TRIGGER refuse BEFORE INSERT ON contracts FOR EACH ROW EXECUTE FUNCTION refuse()`,
  );
  source.details['c4'] = { id: 'c4', amount: '10.00', currency: 'EUR' };
  const { attempts, counts } = await rerun(3);
  assert.deepEqual(
    attempts.map(({ contracts, loaded }) => [contracts, loaded]),
    [
      [4, 0],
      [1, 1],
    ],
  );
  assert.deepEqual([counts.enriched, counts.failed, counts.staged], [1, 3, 1]);
});
test('a transform is held against what came before it', async (t) => {
  const source = plain(3);
  const columns = {
    id: { type: 'text' },
    currency: { type: 'char(3)', listed: 'currency' },
    amount: { type: 'numeric(12,2)', listed: 'amount' },
  };
  const { night, run } = await nights(t, source, {
    load: { table: 'contracts', key: ['id'], columns },
    transform: './one.mjs',
  });
  await night.write('one.mjs', `export default ({ contract }) => ({ ...contract, amount: '1.00' });`);
  const report = await run('2026-01-01', 4);
  assert.deepEqual(failed(report), ['sum 30.00 3.00', 'variance 0 27.00']);
  assert.deepEqual([report.amounts[0]!.listed, report.amounts[0]!.loaded], ['30.00', '3.00']);

  // Without a word of what came before, nothing is compared, and nothing passes.
  const blind = { id: { type: 'text' }, currency: { type: 'char(3)' }, amount: { type: 'numeric(12,2)' } };
  const other = await nights(t, source, {
    load: { table: 'contracts', key: ['id'], columns: blind },
    transform: './one.mjs',
  });
  await other.night.write('one.mjs', `export default ({ contract }) => ({ ...contract, amount: '1.00' });`);
  const { controls } = await other.run('2026-01-01');
  for (const { type, name, result } of controls)
    if (type === 'variance' || name.endsWith('source against target')) assert.equal(result, 'not-evaluated', name);
});
