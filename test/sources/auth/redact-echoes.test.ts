import assert from 'node:assert/strict';
import { test } from 'node:test';
import { redactorOf } from '../../../src/sources/auth/redact-echoes.ts';

const secret = 'ab/cd+ef=gh"&<\\ij kl';
const hidden = redactorOf([secret]);

const percent = encodeURIComponent(secret);
const accented = 'zugang-zürich-é';
const base64 = Buffer.from(secret).toString('base64');
const html = secret.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

/** How a server may repeat a secret in its answer. */
const echoes: Record<string, string> = {
  'as it is': secret,
  'in JSON': JSON.stringify(secret).slice(1, -1),
  'in JSON with escaped slashes, as PHP writes it': JSON.stringify(secret).slice(1, -1).replaceAll('/', '\\/'),
  'in JSON with every sign escaped': secret.replaceAll(/[^a-z]/g, (sign) => `\\u00${sign.charCodeAt(0).toString(16)}`),
  'in JSON with capital escapes': secret.replaceAll(
    /[^a-z]/g,
    (sign) => `\\u00${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  ),
  'in JSON within JSON': JSON.stringify(JSON.stringify(secret)).slice(3, -3),
  'in a URL': percent,
  'in a URL with small escapes': percent.replaceAll(/%../g, (escape) => escape.toLowerCase()),
  'in a URL within a URL': encodeURIComponent(percent),
  'in a form': new URLSearchParams({ '': secret }).toString().slice(1),
  'in HTML': html,
  'in HTML by numbers': secret.replaceAll(/[^a-z]/g, (sign) => `&#${sign.charCodeAt(0)};`),
  'in HTML by hexadecimal numbers': secret.replaceAll(/[^a-z]/g, (sign) => `&#x${sign.charCodeAt(0).toString(16)};`),
  'in HTML within HTML': html.replaceAll('&', '&amp;'),
  'in base64': base64,
  'in base64 without its end': base64.replace(/=+$/, ''),
  'in base64 for URLs': Buffer.from(secret).toString('base64url'),
  'in base64 after a name': Buffer.from(`me:${secret}`).toString('base64'),
  'in base64 after a longer name': Buffer.from(`user:${secret};`).toString('base64'),
  'in base64 in a URL': encodeURIComponent(base64),
};

for (const [name, echo] of Object.entries(echoes)) {
  test(`a secret is hidden ${name}`, () => {
    const shown = hidden(`key ${echo} is wrong`);
    assert.match(shown, /^key .{0,8}\[redacted\].{0,4} is wrong$/);
  });
}

test('text that is not a secret stays, and so do secrets of three characters', () => {
  const text = 'key ab/cd is wrong: %2F \\u002f &amp; YWIvY2Q=';
  assert.equal(hidden(text), text);
  assert.equal(redactorOf(['abc'])('abc'), 'abc');
  assert.equal(redactorOf([])(text), text);
});

test('a secret within a longer one does not leave the rest of it standing', () => {
  assert.equal(redactorOf(['geheim', 'geheim-und-mehr'])('geheim-und-mehr, geheim'), '[redacted], [redacted]');
});

test('secrets that are long, accented or look escaped themselves are hidden as well', () => {
  const token = Buffer.from('x'.repeat(6_000)).toString('base64url');
  assert.equal(redactorOf([token])(`key ${token}`), 'key [redacted]');
  assert.equal(redactorOf([accented])(`key ${encodeURIComponent(accented)}`), 'key [redacted]');
  const looksEscaped = '50%2F"&amp;\\u0041';
  assert.equal(redactorOf([looksEscaped])(`key ${looksEscaped}`), 'key [redacted]');
  assert.equal(redactorOf([looksEscaped])(`key ${JSON.stringify(looksEscaped)}`), 'key "[redacted]"');
});

test('a secret near or across the end of the searched text is not shown either', () => {
  for (let length = 3_900; length < 4_400; length += 9) {
    const shown = hidden(`${'x'.repeat(length)}${secret}${'y'.repeat(10_000)}`);
    assert.doesNotMatch(shown, /xab/);
  }
});

test('no text makes hiding slow, however many escapes it holds', () => {
  for (const sign of ['\\', '%25', '&amp;', 'a\\', '\\u00'])
    for (const nasty of [secret, '\\\\\\\\\\\\\\\\x', 'aaaaaaaaaaaaaaaa', '%%%%%%%%'])
      assert.ok(redactorOf([nasty])(sign.repeat(100_000)).length <= 8 * 1024);
});
