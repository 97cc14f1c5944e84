import { test } from 'node:test';
import assert from 'node:assert/strict';
import { interpolate } from '../../../src/config/yaml/interpolate.ts';
import { load, refusal, smallJob } from '../../support/job-file.ts';

const filled = (text: string, environment: NodeJS.ProcessEnv = {}) => {
  const { text: result, problems } = interpolate(text, environment);
  assert.deepEqual(problems, []);
  return result;
};

test('variables are filled in wherever they stand in a text', () => {
  assert.equal(filled('${A}/x/${B}-${A}', { A: '1', B: '2' }), '1/x/2-1');
  assert.equal(filled('$A ${A}$', { A: '1' }), '$A 1$');
});

test('a default holds when the variable is not set, and only then', () => {
  assert.equal(filled('${A:http://localhost:4010}'), 'http://localhost:4010');
  assert.equal(filled('${A:}'), '');
  assert.equal(filled('${A:x}', { A: 'y' }), 'y');
  assert.equal(filled('${A:x}', { A: '' }), '');
});

test('what a variable holds is not looked at again', () => {
  assert.equal(filled('${A}', { A: '${B} $${B} $&', B: 'x' }), '${B} $${B} $&');
});

test('two dollar signs stand for a plain one before a brace', () => {
  assert.equal(filled('$${A} costs $$5', { A: 'x' }), '${A} costs $$5');
});

test('every variable that is not set is named', () => {
  const { problems } = interpolate('${ONE}${TWO:x}${THREE}', {});
  assert.equal(problems.length, 2);
  assert.match(problems[0]!, /the environment variable ONE is not set.*\$\{ONE:default\}/);
  assert.match(problems[1]!, /THREE/);
});

test('a reference that is not written as one is refused', () => {
  for (const text of ['${}', '${1A}', '${A', '${A B}', '${A:{x}}', '${A-x}']) {
    assert.equal(interpolate(text, { A: 'x' }).problems.length, 1, text);
  }
});

test('a variable cannot change the structure of the file', async () => {
  const text = smallJob.replace('name: small', 'name: small\ntimezone: ${ZONE}');
  const { problems } = await refusal(text, { environment: { ZONE: 'UTC\ncommit: run' } });
  assert.deepEqual(
    problems.map(({ path }) => path),
    ['timezone'],
  );
});

test('a variable that is not set is one problem, where it stands', async () => {
  const { problems } = await refusal(smallJob.replace('https://crm.example', '${NOWHERE}/v1'), { environment: {} });
  assert.equal(problems.length, 1);
  assert.deepEqual([problems[0]!.line, problems[0]!.column], [5, 14]);
  assert.match(problems[0]!.message, /the environment variable NOWHERE is not set/);
});

test('a variable alone may give a number or a boolean', async () => {
  const text = smallJob.replace(
    'type: rest',
    'type: rest\n    limits: { concurrency: "${MANY}" }\n    retry: { jitter: "${JITTER:false}", attempts: "${TRIES:07}" }',
  );
  const job = await load(text, { environment: { MANY: '40' } });
  assert.equal(job.apis['crm']!.limits.concurrency, 40);
  assert.deepEqual([job.apis['crm']!.retry.jitter, job.apis['crm']!.retry.attempts], [false, 7]);
  const { problems } = await refusal(text, { environment: { MANY: 'plenty' } });
  assert.match(problems[0]!.message, /expected a whole number from 1 to 1,000, got the value of "\$\{MANY\}"/);
});

test('text that only looks like a number stays text', async () => {
  const job = await load(smallJob.replace('name: small', 'name: ${NAME}'), { environment: { NAME: '42' } });
  assert.equal(job.name, '42');
});

test('a template comes from a variable as from the file', async () => {
  const text = `${smallJob}lookups:\n  one: { api: crm, path: "\${PATH_OF_ONE}" }\n`;
  const job = await load(text, { environment: { PATH_OF_ONE: '/x/{key}' } });
  assert.deepEqual(job.lookups[0]!.path.parts, ['/x/', ['key']]);
});
