import assert from 'node:assert/strict';
import { test } from 'node:test';
import { format, inspect } from 'node:util';
import { Secret } from '../../../src/sources/auth/secret.ts';

test('a secret shows itself nowhere but where it is revealed', () => {
  const secret = new Secret('geheim');
  const holder = { token: secret };
  const shown = [
    String(secret),
    `${secret.toString()}`,
    JSON.stringify(holder),
    inspect(holder),
    inspect(secret, { showHidden: true, depth: 9 }),
    format('%o %s %j', secret, secret, holder),
    Object.entries(secret).join(),
  ].join(' ');
  assert.doesNotMatch(shown, /geheim/);
  assert.match(shown, /\[redacted\]/);
  assert.equal(secret.reveal(), 'geheim');
});
