import { test } from 'node:test';
import assert from 'node:assert/strict';
import { array, assert as check, constantFrom, property, string } from 'fast-check';
import { cronProblem } from '../../../src/config/schema/cron-expression.ts';
import { parseDuration } from '../../../src/config/schema/duration.ts';
import { isExactNumericType, isPostgresType } from '../../../src/sinks/target/postgres-type.ts';
import { parseByteSize, parsePercentage } from '../../../src/config/schema/quantity.ts';
import { didYouMean } from '../../../src/config/suggest.ts';
import { isLoopback, parseHttpUrl } from '../../../src/config/schema/url.ts';
import { repeats } from '../../support/long.ts';

test('durations are read as milliseconds', () => {
  const read = ['250ms', '30s', '5m', '6h', '2d', '0s'].map(parseDuration);
  assert.deepEqual(read, [250, 30_000, 300_000, 21_600_000, 172_800_000, 0]);
  for (const text of ['', '5', '5 s', '1.5s', '-1s', '1h30m', 's', '5S', '5s\n', '1e3s', '999999999999999d']) {
    assert.equal(parseDuration(text), undefined, text);
  }
});

test('percentages are read as the nearest share', () => {
  assert.deepEqual(['0%', '5%', '99.9%', '100%', '0.07%'].map(parsePercentage), [0, 0.05, 0.999, 1, 0.0007]);
  for (const text of ['5', '-1%', '101%', '100.1%', '5 %', '.5%', '1e1%']) {
    assert.equal(parsePercentage(text), undefined, text);
  }
});

test('sizes are read as bytes, with powers of 1000 or 1024 as they say', () => {
  assert.deepEqual(['1B', '2KB', '32MB', '1GB', '2KiB', '1MiB'].map(parseByteSize), [1, 2e3, 32e6, 1e9, 2048, 2 ** 20]);
  for (const text of ['32', '32mb', '1.5MB', '-1B', 'MB']) assert.equal(parseByteSize(text), undefined, text);
});

test('the types of Postgres are taken', () => {
  const types = `text|char(3)|"char"|varchar(20)|character varying(20)|national character varying(5)|bit varying(8)|numeric
numeric(18,2)|numeric(18, 2)|numeric(5,-2)|decimal ( 10 )|int4|bigint|boolean|date|jsonb|uuid|double precision|bytea|timestamptz
timestamp with time zone|timestamp(3) with time zone|time (3) without time zone|timestamp(3)|interval|text[]|integer[3][3]
timestamp with time zone[]|public.mood|"My Types"."Mood"|citext|NUMERIC(18,2)|Double Precision|geometry(4326)`;
  for (const type of types.split(/[|\n]/)) assert.ok(isPostgresType(type), type);
});

test('nothing that is more than a type is taken', () => {
  const types = [
    'text; drop table x', 'text--', 'text -- x', 'text/* */', "text'", "text default 'x'", 'text not null', 'text unique', 'text)', 'text, b text',
    'text collate "C"', 'numeric(18,2', 'numeric(18,2))', 'numeric(a)', 'numeric(1,2,3)', 'numeric()', 'a.b.c', '"', '""', '"a"b"', '"a"";"', '"a;b"',
    'int[]; x', 'int[x]', '', ' ', 'text\ntext', 'text\0', 'text\n', 'tеxt', '1text', '$1', 'select 1', 'text references x', `${'a'.repeat(64)}`, '(select 1)',
    'text\u2028', 'text generated always as (1)',
  ]; // prettier-ignore
  for (const type of types) assert.ok(!isPostgresType(type), type);
});

test('whatever passes as a type has no character that could end one', () => {
  const pieces = constantFrom(
    'text',
    ' ',
    '(',
    ')',
    ',',
    '1',
    ';',
    '-',
    '--',
    '"',
    "'",
    '[',
    ']',
    '.',
    '/*',
    '\\',
    '\n',
    '$$',
    'with time zone',
    'not null',
  );
  const attempt = array(pieces, { maxLength: 8 }).map((parts) => parts.join(''));
  check(
    property(attempt, (text) => {
      if (!isPostgresType(text)) return true;
      const quotes = text.split('"').length - 1;
      const bare = text.replaceAll(/"[^"]*"/g, '');
      return quotes % 2 === 0 && !/[;'\\\n$/*]|--/.test(text) && !bare.includes('not null');
    }),
    { numRuns: repeats(500, 20_000) },
  );
  check(
    property(string(), (text) => !isPostgresType(text) || /^[\w ."(),[\]-]+$/.test(text)),
    { numRuns: repeats(200, 10_000) },
  );
});

test('only types that add up exactly can be summed', () => {
  for (const type of [
    'numeric',
    'numeric(18,2)',
    'decimal(5)',
    'NUMERIC (3)',
    'int',
    'int8',
    'bigint',
    'smallint',
    'integer',
  ])
    assert.ok(isExactNumericType(type), type);
  for (const type of [
    'real',
    'double precision',
    'float8',
    'money',
    'text',
    'numeric[]',
    'numeric(5)[]',
    'public.numeric',
    'interval',
  ])
    assert.ok(!isExactNumericType(type), type);
});

test('cron expressions of five fields are taken', () => {
  for (const text of [
    '0 2 * * *',
    '*/5 0-6/2 1,15 JAN-mar,12 mon-FRI',
    '59 23 31 12 7',
    '0 2 * * 0',
    ' 0  2 * * sun ',
  ]) {
    assert.equal(cronProblem(text), undefined, text);
  }
});

test('other schedules are refused with the field that is wrong', () => {
  const wrong: [string, RegExp][] = [
    ['@daily', /five fields.*got 1/],
    ['0 0 2 * * *', /five fields.*got 6/],
    ['60 2 * * *', /"60" is not a minute/],
    ['0 24 * * *', /"24" is not an hour/],
    ['0 2 0 * *', /"0" is not a day of the month/],
    ['0 2 * 13 *', /"13" is not a month/],
    ['0 2 * * 8', /"8" is not a day of the week/],
    ['5-1 2 * * *', /"5-1"/],
    ['*/0 2 * * *', /"\*\/0"/],
    ['5/2 2 * * *', /"5\/2"/],
    ['0 2 * foo *', /"foo" is not a month/],
    ['0 2,,3 * * *', /"" is not an hour/],
    ['0 2 ? * *', /"\?"/],
    ['0 -2 * * *', /"-2"/],
  ];
  for (const [text, says] of wrong) assert.match(cronProblem(text) ?? 'taken', says, text);
});

test('addresses lose their trailing slashes and nothing else', () => {
  assert.equal(parseHttpUrl('https://a.example/'), 'https://a.example');
  assert.equal(parseHttpUrl('HTTPS://A.example:443/v1//'), 'https://a.example/v1');
  assert.equal(parseHttpUrl('http://127.0.0.1:4010/x/y'), 'http://127.0.0.1:4010/x/y');
  assert.equal(parseHttpUrl('http://[::1]:4010'), 'http://[::1]:4010');
  for (const text of [
    '',
    'a.example',
    'ftp://a',
    'file:///etc/passwd',
    'http://',
    'http://a b',
    'https:\\\\a',
    'http:///a\\b',
    'javascript:1',
  ]) {
    assert.equal(parseHttpUrl(text), undefined, text);
  }
});

test('addresses where clouds hand out credentials are refused however they are written', () => {
  const addresses = [
    '169.254.169.254',
    '2852039166',
    '0251.254.169.254',
    '[::ffff:169.254.169.254]',
    '[fe80::1]',
    '[fd00:ec2::254]',
    'metadata.google.internal',
    'METADATA.google.internal.',
  ];
  for (const host of addresses) assert.throws(() => parseHttpUrl(`http://${host}/`), /link-local/, host);
});

test('this machine is known by its names', () => {
  for (const host of ['localhost', 'crm.localhost', '127.0.0.1', '127.9.9.9', '[::1]'])
    assert.ok(isLoopback(`http://${host}:1`), host);
  for (const host of ['localhost.example', '10.0.0.1', '127.example', '[::2]'])
    assert.ok(!isLoopback(`http://${host}:1`), host);
});

test('a suggestion is close or absent', () => {
  assert.equal(didYouMean('conections', ['concurrency', 'connections']), ' (did you mean "connections"?)');
  assert.equal(didYouMean('Timeout', ['timeout']), ' (did you mean "timeout"?)');
  assert.equal(didYouMean('x', ['timeout']), '');
  assert.equal(didYouMean('sprockets', ['apis', 'lookups']), '');
  check(property(string(), (word) => didYouMean(word, [word]).includes(word)));
});
