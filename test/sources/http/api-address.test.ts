import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ApiAddress } from '../../../src/sources/http/api-address.ts';
import { repeats } from '../../support/long.ts';

const origin = 'https://api.example';

test('an address has the parts that a URL would have, whatever stands in its path and query', () => {
  const address = new ApiAddress({ name: 'crm', baseUrl: `${origin}/v1` });
  const part = fc.constantFrom(
    '/',
    '/',
    '/',
    'a',
    'CT-1',
    '.',
    '..',
    '%2e',
    '%20',
    ' ',
    'ü',
    '?',
    '?',
    '=',
    '&',
    ...Array.from(`'"#\\@:|<{^\t+~!$()*,;`),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
      const { href, pathname, search } = new URL(`${origin}/${parts.join('')}`);
      const own = address.own(`${origin}/${parts.join('')}`);
      assert.deepEqual([own.href, own.pathname, own.search], [href, pathname, search]);
    }),
    { numRuns: repeats(300, 20_000) },
  );
});

test('an address that only begins like the own origin is refused', () => {
  const address = new ApiAddress({ name: 'crm', baseUrl: origin });
  for (const text of [`${origin}.evil/a`, `${origin}@evil/a`, `${origin}:8443/a`, `${origin}:pass@evil/a`])
    assert.throws(() => address.own(text), { code: 'FOREIGN_ORIGIN' }, text);
});
