import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeReportFile } from '../../../src/report/store.ts';
import { holdsPassword } from '../../../src/sinks/postgres/database-url.ts';
import { startNight } from '../../support/night.ts';

test('a password that is typed is warned about, with the way to do without, and is not repeated', async (t) => {
  const nowhere = 'postgres://etl:geheim@127.0.0.1:1/night';
  const night = await startNight(t, { databaseUrl: null, secrets: ['geheim'] });
  const warning = /^nightfill: the password in --database-url is seen by .*; put the whole URL into DATABASE_URL, /m;
  for (const command of [['runs'], ['show', 'latest'], ['prune', '--keep', '1d'], ['migrate']]) {
    const typed = await night.nightfill(...command, '--database-url', nowhere);
    assert.equal(typed.exitCode, 2, typed.stderr);
    assert.match(typed.stderr, warning);
    assert.doesNotMatch(typed.stdout + typed.stderr, /geheim/);
    const without = await night.nightfill(...command, '--database-url', nowhere.replace(':geheim', ''));
    assert.doesNotMatch(without.stderr, warning);
    night.environment['NIGHTFILL_DATABASE_URL'] = nowhere;
    const fromEnvironment = await night.nightfill(...command);
    delete night.environment['NIGHTFILL_DATABASE_URL'];
    assert.equal(fromEnvironment.exitCode, 2, fromEnvironment.stderr);
    assert.doesNotMatch(fromEnvironment.stderr, warning);
  }
});

test('a password is seen in any URL that has one, well-formed or not', () => {
  for (const url of [
    'postgres://a:b@h/d',
    'postgres://:b@h',
    'postgres://a:p/w@h/d',
    'postgres://a@h/d?x=1&password=b',
  ])
    assert.equal(holdsPassword(url), true, url);
  for (const url of [
    'postgres://a@h:5432/d',
    'postgres://a@[::1]:5432/d',
    'postgres://a:@h/d',
    'postgres://h:1/d?user=a',
  ])
    assert.equal(holdsPassword(url), false, url);
});

test('a report and the folders made for it are for their owner and the group, and a folder that is there stays as it is', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'nightfill-modes-'));
  t.after(async () => rm(folder, { recursive: true }));
  const modeOf = async (name: string): Promise<string> => ((await stat(join(folder, name))).mode & 0o777).toString(8);
  const before = process.umask(0o022);
  t.after(() => process.umask(before));
  await writeReportFile(join(folder, 'new/reports/a.json'), '{}');
  assert.deepEqual(
    [await modeOf('new'), await modeOf('new/reports'), await modeOf('new/reports/a.json')],
    ['750', '750', '640'],
  );
  await mkdir(join(folder, 'old'), { mode: 0o755 });
  await writeReportFile(join(folder, 'old/a.json'), '{}');
  assert.deepEqual([await modeOf('old'), await modeOf('old/a.json')], ['755', '640']);
  process.umask(0o077);
  await writeReportFile(join(folder, 'new/reports/b.json'), '{}');
  assert.equal(await modeOf('new/reports/b.json'), '600');
});
