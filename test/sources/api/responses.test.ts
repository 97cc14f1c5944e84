import assert from 'node:assert/strict';
import { test } from 'node:test';
import { responseActions } from '../../../src/sources/api/api-options.ts';
import { meaningOf, statusTable } from '../../../src/sources/api/responses.ts';

const meaning = (status: number, rules: Parameters<typeof meaningOf>[0]['rules'] = [], text = '') =>
  meaningOf({ status, headers: {}, text, rules });

test('408, 429, 500, 502, 503 and 504 are asked again; 400, 403, 404, 422 and every other 4xx are not', () => {
  const again = Array.from({ length: 400 }, (_, index) => 200 + index).filter((status) =>
    ['retry', 'rate-limited'].includes(meaning(status).action),
  );
  assert.deepEqual(
    again.filter((status) => status < 506),
    [408, 429, 500, 502, 503, 504],
  );
  assert.ok(again.includes(529));
});

test('every status has a meaning with a code and a reason', () => {
  for (let status = 100; status < 1000; status += 1) {
    const { code, reason } = meaning(status);
    assert.match(code, /^[A-Z][A-Z0-9_]*$/);
    assert.doesNotMatch(code, /STATUS/);
    assert.ok(reason.length > 10);
  }
  for (const row of statusTable) assert.ok(row.reason.length > 10);
});

test('an invalid status is retried, because only a faulty server sends one', () => {
  for (const status of [0, 99, 150, 600, 700, 999]) {
    const { action, class: failureClass, code } = meaning(status);
    assert.deepEqual([action, failureClass, code], ['retry', 'transient', `HTTP_${status}`]);
  }
});

test('a 403 that says when to come back, or that nothing remains, is about a limit and not about rights', () => {
  const forbidden = (headers: Parameters<typeof meaningOf>[0]['headers']) =>
    meaningOf({ status: 403, headers, text: '', rules: [] }).code;
  assert.equal(forbidden({ 'retry-after': '60' }), 'RATE_LIMITED');
  assert.equal(forbidden({ 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1800000000' }), 'RATE_LIMITED');
  assert.equal(forbidden({ 'x-ratelimit-remaining': '4999' }), 'HTTP_403');
  assert.equal(forbidden({}), 'HTTP_403');
});

test('the first rule that matches wins, with status and text both where both are given', () => {
  const rules = [
    { status: 403, contains: 'REQUEST_LIMIT_EXCEEDED', action: 'rate-limited' },
    { contains: 'locked', action: 'retry' },
    { status: 403, action: 'missing' },
  ] as const;
  assert.equal(meaning(403, rules, '[{"errorCode":"REQUEST_LIMIT_EXCEEDED"}]').code, 'RATE_LIMITED');
  assert.equal(meaning(400, rules, 'REQUEST_LIMIT_EXCEEDED').action, 'fail');
  assert.deepEqual(
    [meaning(403, rules, 'locked').action, meaning(403, rules).action, meaning(200, rules, 'record locked').action],
    ['retry', 'missing', 'retry'],
  );
  assert.equal(meaning(200, rules, 'fine').action, 'ok');
});

test('a rule gives its own class and a code that still names the status of an error', () => {
  const ruled = (status: number) =>
    responseActions.map((action) => {
      const { code, class: failureClass } = meaning(status, [{ action }]);
      return `${action} ${code} ${failureClass}`;
    });
  assert.deepEqual(ruled(503), [
    'ok HTTP_503 data',
    'retry HTTP_503 transient',
    'rate-limited RATE_LIMITED transient',
    'fail HTTP_503 data',
    'missing HTTP_503 data',
    'unauthorized CREDENTIALS_REJECTED config',
  ]);
  assert.deepEqual(ruled(200), [
    'ok HTTP_200 data',
    'retry RESPONSE_RULED transient',
    'rate-limited RATE_LIMITED transient',
    'fail RESPONSE_RULED data',
    'missing RECORD_MISSING data',
    'unauthorized CREDENTIALS_REJECTED config',
  ]);
});
