import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { writeReportFile } from '../../../src/report/store.ts';
import { listAndLookUp, scriptedNight } from '../../support/scripted-job.ts';

/** A command of Nightfill's with its arguments, as a user would copy it. */
const command = /nightfill (?:rerun|run|report|show) \w+/;

describe('what a run advises', { concurrency: true }, () => {
  test('asks for the --database-url that was given, and does not print it', async (t) => {
    const script = listAndLookUp([{ id: 'a' }, { id: 'b' }], (id) => (id === 'b' ? undefined : { id }));
    const { night } = await scriptedNight(t, { script });
    const { databaseUrl } = night;
    const run = async (date: string, ...words: string[]) =>
      night.nightfill('run', 'job.yaml', '--date', date, ...report, ...words);
    const report = ['--report', 'report.json'];
    const named = await run('2026-01-05');
    assert.match(named.stdout, /\n {2}nightfill rerun latest fetches again what failed or never started\n$/);
    delete night.environment['DATABASE_URL'];
    const typed = await run('2026-01-06', '--database-url', databaseUrl);
    assert.equal(typed.exitCode, 3, typed.stderr);
    assert.match(
      typed.stdout,
      /\n {2}nightfill rerun latest fetches again what failed or never started; give it the same --database-url\n$/,
    );
    assert(!(typed.stdout + typed.stderr).includes(databaseUrl));
  });

  test('and stores names no command that only some database would understand', async (t) => {
    const script = listAndLookUp([{ id: 'a' }, { id: 'b' }], (id) => (id === 'b' ? undefined : { id }));
    const { night } = await scriptedNight(t, { script, job: { commit: 'run', failures: { stopAbove: '100%' } } });
    assert.equal((await night.nightfill('run', 'job.yaml', '--report', 'report.json')).exitCode, 3);
    const { reason } = (await night.report('report.json')).run;
    assert.match(reason!, /1 of 2 contracts failed; a rerun fetches them again, then switches$/);
    await assert.rejects(writeReportFile(`${night.folder}/report.json/inside`, ''), ({ message }: Error) => {
      assert.match(message, /^the report cannot be written to .*; it stands in the database, /);
      assert.doesNotMatch(message, command);
      return true;
    });
  });
});
