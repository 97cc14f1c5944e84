import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestError } from '../../../src/sources/api/api.ts';
import { Secret } from '../../../src/sources/auth/secret.ts';
import { startApi } from '../../support/api-fixture.ts';

test('a credential echoed as Retry-After is not in the message', async () => {
  const secret = 'S3cr3tTokenValue99x';
  for (const status of [429, 500, 503]) {
    await using crm = await startApi(
      ({ headers }) => ({
        status,
        headers: { 'retry-after': String(headers.authorization).slice('Bearer '.length) },
        body: '',
      }),
      { auth: { type: 'bearer', token: new Secret(secret) }, retry: { attempts: 1 } },
    );
    await assert.rejects(crm.api.request({ url: '/a' }), (error) => {
      assert.ok(error instanceof RequestError);
      assert.match(error.message, /its Retry-After ".+" names no time/);
      assert.doesNotMatch(error.message, new RegExp(secret));
      return true;
    });
  }
});
