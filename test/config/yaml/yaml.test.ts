import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { loadJob } from '../../../src/config/load-job.ts';
import { inFolder, load, refusal, smallJob } from '../../support/job-file.ts';

/** The one problem, as `line:column message`. */
async function only(text: string | Uint8Array): Promise<string> {
  const { problems, message } = await refusal(text);
  assert.equal(problems.length, 1, message);
  assert.ok(!/\n\s+at /.test(message));
  const [problem] = problems;
  return `${problem!.line}:${problem!.column} ${problem!.message}`;
}

test('a file that is not there is said to be missing', async () => {
  await assert.rejects(loadJob('/nowhere/job.yaml'), {
    name: 'JobFileError',
    message: '/nowhere/job.yaml:1:1: there is no such file; check the path, or write one with: nightfill init',
  });
});

test('a directory is said to be one', async () => {
  await inFolder({}, async (folder) => {
    await mkdir(join(folder, 'jobs'));
    await assert.rejects(loadJob(join(folder, 'jobs')), /jobs:1:1: this is a directory; name the job file in it$/);
  });
});

test('an empty file is said to be empty, whatever blanks and comments it has', async () => {
  assert.match(await only(''), /^1:1 the file is empty/);
  assert.match(await only('\n  \n# only a comment\n'), /^1:1 the file is empty/);
});

test('a file of one word is not a job', async () => {
  assert.match(await only('hello\n'), /^1:1 expected a mapping of keys to values, got "hello"/);
  assert.match(await only('- a\n- b\n'), /^1:1 expected a mapping of keys to values, got a list/);
  assert.match(await only('---\n'), /^\d:\d expected a mapping of keys to values, got nothing/);
});

test('a file that is not UTF-8 is refused', async () => {
  assert.match(await only(Buffer.from('name: Müller', 'latin1')), /^1:1 expected UTF-8 text/);
  assert.match(await only(Buffer.from('\ufeffname: x', 'utf16le')), /^1:1 expected UTF-8 text/);
});

test('a byte order mark and Windows line ends are no problem, and positions stay right', async () => {
  const text = `\ufeff${smallJob.replaceAll('\n', '\r\n')}`;
  assert.equal((await load(text)).name, 'small');
  assert.match(await only(`${text}finishBy: late\r\n`), /^17:11 expected a time/);
});

test('a file larger than a job can be is refused before it is read to the end', async () => {
  assert.match(
    await only(`${smallJob}# ${'x'.repeat(2 ** 20)}\n`),
    /^1:1 expected a job file of at most 1048576 bytes/,
  );
});

test('broken YAML is one problem, at its place', async () => {
  assert.match(await only('name: "small\napis: {}\n'), /^\d:\d+ not valid YAML: a quote, bracket/);
  assert.match(await only('name: [a, b\napis: 1\n'), /^\d:\d+ not valid YAML: /);
  assert.match(await only('name: small: job\n'), /^1:7 not valid YAML: there are two keys on one line/);
  assert.match(await only('name: x\n   apis: 1\n'), /^\d:\d+ not valid YAML: /);
  assert.match(await only('name: @x\n'), /^1:7 not valid YAML: text that begins with this character needs quotes/);
});

test('a tab in the indentation is named', async () => {
  assert.match(await only('apis:\n\tcrm:\n\t\ttype: rest\n'), /^2:1 not valid YAML: the indentation contains a tab/);
  assert.match(await only('apis:\n  crm:\n  \ttype: rest\n'), /^3:\d not valid YAML: the indentation contains a tab/);
});

test('a key that is there twice is pointed at, and the rest is looked at too', async () => {
  const { problems } = await refusal(`${smallJob}name: again\nchunk: { size: 0 }\n`);
  assert.deepEqual(
    problems.map(({ line, column }) => [line, column]),
    [
      [17, 1],
      [18, 16],
    ],
  );
  assert.match(problems[0]!.message, /this key is a duplicate in its mapping/);
});

test('a second document, a tag and an unknown alias are refused', async () => {
  assert.match(await only(`${smallJob}---\nname: other\n`), /^17:1 not valid YAML: expected one document/);
  assert.match(await only(smallJob.replace('name: small', 'name: !!binary c21hbGw=')), /^1:7 not valid YAML: tags/);
  assert.match(await only(smallJob.replace('name: small', 'name: !env NAME')), /^1:7 not valid YAML: tags/);
  assert.match(
    await only(smallJob.replace('name: small', 'name: *other')),
    /^1:7 no anchor of this name comes before; text that begins with \* needs quotes/,
  );
});

test('keys are text, whatever they look like', async () => {
  assert.match(await only(`${smallJob}1.0: x\n`), /^17:1 unknown key "1\.0"/);
  assert.match(await only(`${smallJob}[a]: x\n`), /^17:1 not valid YAML: a key must be plain text/);
});

test('anchors and aliases serve to say a thing once', async () => {
  const job = await load(
    smallJob.replace(
      '  crm:',
      '  other: &other { type: rest, baseUrl: https://other.example, timeout: 7s }\n  third: *other\n  crm:',
    ),
  );
  assert.equal(job.apis['third']?.baseUrl, 'https://other.example');
  assert.equal(job.apis['third']?.timeout, 7000);
});

test('a problem in an alias is shown where the alias stands', async () => {
  const text = smallJob.replace(
    '  crm:',
    '  other: { type: rest, baseUrl: &word wrong }\n  third: { type: rest, baseUrl: *word }\n  crm:',
  );
  const { problems } = await refusal(text);
  assert.deepEqual(
    problems.map(({ line, column }) => [line, column]),
    [
      [3, 39],
      [4, 33],
    ],
  );
});

test('aliases that multiply or turn in a ring end with a sentence', async () => {
  const bomb = Array.from({ length: 30 }, (_, level) => {
    const before = level === 0 ? 'x' : `*a${level - 1}`;
    return `a${level}: &a${level} [${Array.from({ length: 9 }, () => before).join(', ')}]`;
  });
  const { problems } = await refusal(`${bomb.join('\n')}\n`);
  assert.ok(problems.some(({ message }) => /expected at most 20000 values with aliases expanded/.test(message)));
  const ring = await refusal(smallJob.replace('name: small', 'name: &me [*me]'));
  assert.match(ring.message, /this alias refers to a value that contains it/);
});

test('levels without end are refused', async () => {
  const { problems } = await refusal(`${smallJob}x: ${'['.repeat(80)}${']'.repeat(80)}\n`);
  assert.ok(problems.some(({ message }) => /expected at most 50 levels/.test(message)));
});

test('a merge key is an unknown key: YAML 1.2 has none', async () => {
  const text = smallJob.replace('  crm:\n', '  crm:\n    <<: { timeout: 5s }\n');
  assert.match(await only(text), /^4:5 unknown key "<<"/);
});
