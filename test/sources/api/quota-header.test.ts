import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quotaLeft } from '../../../src/sources/api/quota-header.ts';

const read = (value: string | string[]) => quotaLeft({ 'x-left': value, 'x-other': '7' }, 'x-left');

test('a plain number is the rest of the quota', () => {
  assert.deepEqual(read('41230'), { left: 41_230 });
  assert.deepEqual(read(' 0 '), { left: 0 });
});

test("Salesforce's usage is what is used, of all", () => {
  for (const value of [
    'api-usage=18/5000',
    'api-usage=18/5000; per-app-api-usage=17/250(appName=sample-connected-app)',
    'per-app-api-usage=17/250(appName=x); api-usage=18/5000',
    '18/5000',
    ['per-app-api-usage=17/250(appName=x)', 'api-usage=18/5000'],
  ]) {
    assert.deepEqual(read(value), { left: 4982, of: 5000 }, String(value));
  }
  assert.deepEqual(read('api-usage=5003/5000'), { left: 0, of: 5000 });
});

test('any other text gives nothing', () => {
  for (const value of [
    '',
    '-1',
    '1.5',
    'many',
    'per-app-api-usage=17/250(appName=x)',
    '18/',
    '/5000',
    '1/0',
    '1/2/3',
    '1e3',
  ]) {
    assert.equal(read(value), undefined, value);
  }
  assert.equal(quotaLeft({}, 'x-left'), undefined);
});
