import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startApi } from '../support/api-fixture.ts';

test('an answer carries its JSON with every digit', async () => {
  await using crm = await startApi(() => ({
    body: '{"amount":12345678901234567.80}',
    headers: { 'content-type': 'application/json' },
  }));
  const answer = await crm.api.request({ url: '/contracts/1' });
  assert.equal(answer.status, 200);
  assert.equal(answer.attempts, 1);
  assert.equal(answer.bytes, 31);
  assert.equal(JSON.stringify(answer.body), '{"amount":12345678901234567.80}');
});
