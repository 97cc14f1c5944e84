import assert from 'node:assert/strict';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { JobFileError } from '../../../src/config/yaml/job-file-error.ts';
import { exitCodeOf } from '../../../src/exit-code.ts';
import { UsageError } from '../../../src/resilience/failure.ts';
import type { Ended } from '../../support/night.ts';
import { scriptedNight } from '../../support/scripted-job.ts';

/** A line of its own, a title, a cleared screen, a colour by C1, text from right to left; each as its writer would like it. */
const hostile = (line: string): string =>
  `A\r\n${line}\u001b]0;title\u0007\u001b[2J\u009b31m\u202e\u2066\u200f\u061c\u2028${line}`;

/** Also of JSON, whose own line breaks stand between values. */
function assertHarmless({ stdout, stderr }: Pick<Ended, 'stdout' | 'stderr'>): void {
  for (const text of [stdout, stderr]) {
    const lines = text.split('\n');
    for (const line of lines) assert.doesNotMatch(line, /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u, JSON.stringify(text));
    assert.deepEqual(
      lines.filter((line) => line.startsWith('forged')),
      [],
      JSON.stringify(text),
    );
  }
}

test('what an API writes into keys, currencies and messages neither moves the cursor nor begins a line', async (t) => {
  const first = hostile('forged key');
  const answer = (url: string): { json: object; status?: number } => {
    if (url.startsWith('/contracts?') || url === '/contracts')
      return { json: { data: [{ id: first }, { id: `${first}2` }, { id: 'c3' }] } };
    const id = decodeURIComponent(url.slice('/contracts/'.length));
    if (id === 'c3') return { status: 422, json: { error: hostile('forged error') } };
    return { json: { id: first, currency: '\u009b\n\u001b', amount: 5 } };
  };
  const { night } = await scriptedNight(t, {
    script: ({ url }) => answer(url),
    job: {
      controls: [
        { sum: 'amount', by: 'currency' },
        { count: true, expect: 1 },
      ].slice(0, 1),
    },
  });
  const report = ['--report', 'report.json'];
  const seen = async (exitCode: number, ...commandLine: string[]): Promise<Omit<Ended, 'signal'>> => {
    const ended = await night.nightfill(...commandLine);
    assert.equal(ended.exitCode, exitCode, ended.stdout + ended.stderr);
    assertHarmless(ended);
    return ended;
  };

  const check = await seen(0, 'check', 'job.yaml');
  assert.match(check.stdout, /the first is A\uFFFD\uFFFDforged key/);
  await seen(0, 'plan', 'job.yaml');
  const run = await seen(3, 'run', 'job.yaml', ...report);
  assert.match(run.stdout, /amount \uFFFD\uFFFD\uFFFD {2}5\.00 loaded/);
  assert.match(run.stdout, /same load key \(id = A\uFFFD\uFFFDforged/);
  await seen(3, 'rerun', 'latest', ...report);
  await seen(0, 'show', 'latest');
  await seen(0, 'runs');
  // What is for programs holds what the API wrote, character for character, in escapes.
  const holdsTheKey = ({ stdout }: Pick<Ended, 'stdout'>): void =>
    assert(JSON.stringify(JSON.parse(stdout)).includes(JSON.stringify(first).slice(1, -1)), stdout);
  const reported = await night.report('report.json');
  assert(JSON.stringify(reported).includes(JSON.stringify(first).slice(1, -1)));
  holdsTheKey(await seen(3, 'run', 'job.yaml', '--again', '--json', ...report));
  holdsTheKey(await seen(0, 'show', 'latest', '--json'));
  assert.equal((await seen(0, 'report', 'latest')).stdout, await night.read('report.json'));

  await night.query('UPDATE nightfill.run SET reason = $1', [hostile('forged reason')]);
  const [listed] = JSON.parse((await seen(0, 'runs', '--json')).stdout) as { reason: string }[];
  assert.equal(listed!.reason, hostile('forged reason'));
  const shown = await seen(0, 'show', 'latest');
  assert.match(shown.stdout, /^reason {8}A\uFFFD\uFFFDforged reason.*forged reason$/m);

  // What the command line and the job file hold may have come from elsewhere as well.
  await seen(2, 'run', hostile('forged file'));
  await seen(2, hostile('forged command'));
  await seen(2, 'run', 'job.yaml', `--${hostile('forged option')}`);
  await seen(2, 'show', hostile('forged run'));
  await seen(2, 'prune', '--keep', hostile('forged age'));
  const job = JSON.parse(await night.read('job.yaml')) as object;
  await night.write('wrong.yaml', { ...job, [hostile('forged part')]: 1, controls: [{ sum: hostile('forged sum') }] });
  const wrong = await seen(2, 'check', 'wrong.yaml');
  assert.equal(wrong.stderr.split('\n').length, 4, wrong.stderr);
});

test('a path that would be printed as more than one line, or as another one, is in no printed schedule', async (t) => {
  const { night } = await scriptedNight(t, { script: () => undefined, job: { schedule: '0 2 * * *' } });
  for (const name of ['a\nforged', 'a\u202eb']) {
    await night.write(path.join(name, 'job.yaml'), await night.read('job.yaml'));
    const place = path.join(name, 'job.yaml');
    const { exitCode, stdout, stderr } = await night.nightfill('schedule', place, '--print', 'crontab');
    assert.deepEqual([exitCode, stdout], [2, '']);
    assert.match(stderr, /expected paths without control characters/);
    assertHarmless({ stdout, stderr });
  }
});

test('an error is one harmless line, and a list of findings one for each', () => {
  const said = (error: unknown): string => {
    const stderr = new PassThrough();
    exitCodeOf(error, { stderr: stderr as unknown as NodeJS.WriteStream, environment: {} });
    return String(stderr.read());
  };
  const message = hostile('forged error');
  for (const error of [new Error(message), new UsageError(message, { code: 'CREDENTIALS_REJECTED' })]) {
    assertHarmless({ stdout: '', stderr: said(error).trimEnd() });
    assert.equal(said(error).match(/\n/g)?.length, 1);
  }
  const problems = ['first \u001b[2J', 'second'].map((text, index) => ({
    line: index + 1,
    column: 1,
    path: '',
    message: text,
  }));
  assert.equal(
    said(new JobFileError('job.yaml', problems)),
    'nightfill: job.yaml has 2 problems:\njob.yaml:1:1: first \uFFFD[2J\njob.yaml:2:1: second\n',
  );
});
