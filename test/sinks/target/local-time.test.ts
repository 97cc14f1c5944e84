import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { columnText, type JsonValue } from '../../../src/sinks/target/column-value.ts';
import { localTime } from '../../../src/sinks/target/local-time.ts';
import { describeTypes } from '../../../src/sinks/target/target-catalog.ts';
import { createDatabase } from '../../support/database.ts';

/** As a column of type timestamp gets it, in Berlin. */
function inBerlin(text: string): string | undefined {
  const local = localTime(text, 'Europe/Berlin');
  return local && `${local.date} ${local.time}${local.era}`;
}

test('a time with an offset is shown by the calendar and the clock of the time zone', () => {
  for (const [given, local] of Object.entries({
    '2026-11-21T23:30:00+0000': '2026-11-22 00:30:00',
    '2026-11-21T23:30:00Z': '2026-11-22 00:30:00',
    '2026-11-21 23:30+00': '2026-11-22 00:30:00',
    '2026-06-30t22:00:00.000001z': '2026-07-01 00:00:00.000001',
    '20261121T233000-01:00': '2026-11-22 01:30:00',
    'Sat, 21 Nov 2026 23:30:00 GMT': '2026-11-22 00:30:00',
    '2026-11-21T23:30:00.123456789123456789+01:00': '2026-11-21 23:30:00.123456789123456789',
    // The hour that the spring day skips, and the one that the autumn day has twice.
    '2026-03-29T00:59:59.999999Z': '2026-03-29 01:59:59.999999',
    '2026-03-29T01:00:00Z': '2026-03-29 03:00:00',
    '2026-10-25T00:30:00Z': '2026-10-25 02:30:00',
    '2026-10-25T01:30:00Z': '2026-10-25 02:30:00',
    '9999-12-31T23:30:00Z': '10000-01-01 00:30:00',
    '12026-06-21T23:30:00Z': '12026-06-22 01:30:00',
    '0001-01-01T00:30:00+02:00': '0001-12-31 23:23:28 BC',
    '2026-11-21T24:00:00Z': '2026-11-22 01:00:00',
    '2026-12-31T23:59:60Z': '2027-01-01 01:00:00',
  }))
    assert.equal(inBerlin(given), local, given);
});

test('a plain date, a time without an offset, and what is no valid time are left as they are', () => {
  for (const given of [
    '2026-11-21',
    '20261121',
    '2026-11-21T23:30:00',
    '2026-11-21 11:30 PM',
    '2026-11-21 23:30:00 BC',
    '23:30 21 Nov 2026',
    '23:30:00 2026-11-21',
    '2026-02-30T23:30:00Z',
    '2026-13-01T23:30:00Z',
    '2026-11-21T25:30:00Z',
    '2026-11-21T24:00:01Z',
    '2026-11-21T23:30:00+16:00',
    '0000-01-01T00:00:00Z',
    'infinity',
    'soon',
    '',
  ])
    assert.equal(inBerlin(given), undefined, given);
});

test('an offset in a form that is not understood is refused, as Postgres would leave it out', () => {
  for (const given of [
    '2026-11-21 23:30:00 EST',
    '2026-11-21 23:30 America/New_York',
    '2026-11-21T23:30:00+01:00[Europe/Berlin]',
    '2026-11-21 23:30:00+00 BC',
  ]) {
    const column = { name: 'c', formatted: 'date', shape: { kind: 'date' } } as const;
    const result = columnText(given, column, { timezone: 'Europe/Berlin' });
    assert('problem' in result, given);
    assert.equal(result.problem.code, 'VALUE_OFFSET_UNREADABLE');
    assert.match(result.problem.message, /^column c \(date\) has no offset, and .* declare the column timestamptz$/);
  }
});

test('Postgres shows any moment at the same local time', async (t) => {
  const { database } = await createDatabase(t, { template: 'empty' });
  const zone = fc.constantFrom('Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Australia/Lord_Howe', 'UTC');
  const two = (value: number): string => String(value).padStart(2, '0');
  const offset = fc.oneof(
    fc.constantFrom('Z', '+00', '+0000', '-00:00'),
    fc
      .tuple(fc.constantFrom('+', '-'), fc.integer({ min: 0, max: 15 }), fc.integer({ min: 0, max: 59 }))
      .map(([sign, hours, minutes]) => `${sign}${two(hours)}:${two(minutes)}`),
  );
  const moment = fc.date({ min: new Date('1975-01-01'), max: new Date('2037-12-31'), noInvalidDate: true });
  const written = fc
    .tuple(moment, offset, fc.nat({ max: 999_999 }), fc.constantFrom('T', ' '), fc.constantFrom(0, 0, 8_000, 200_000))
    .map(([date, east, fraction, between, later]) => {
      const [day = '', time = ''] = date.toISOString().slice(0, 19).split('T');
      const year = Number(day.slice(0, 4)) + later;
      return `${year}${day.slice(4)}${between}${time}.${String(fraction).padStart(6, '0')}${east}`;
    });
  const given = fc.sample(fc.tuple(written, zone), { numRuns: 2_000, seed: 1 });
  const { rows } = await database.query<{ text: string; zone: string; at: string }>(
    `SELECT text, zone, (text::timestamptz AT TIME ZONE zone)::text AS at
     FROM unnest($1::text[], $2::text[]) AS given (text, zone)`,
    [given.map(([text]) => text), given.map(([, name]) => name)],
  );
  const ours = rows.map(({ text, zone: name }) => {
    const { date, time } = localTime(text, name)!;
    return `${date} ${time}`;
  });
  const read = await database.query<{ at: string }>(
    'SELECT at::timestamp::text AS at FROM unnest($1::text[]) WITH ORDINALITY AS given (at, n) ORDER BY n',
    [ours],
  );
  rows.forEach(({ text, zone: name, at }, index) => assert.equal(read.rows[index]!.at, at, `${text} in ${name}`));
});

test('columns of type date and timestamp, arrays of them and domains over them get the local time, timestamptz the offset', async (t) => {
  const { database } = await createDatabase(t, { template: 'empty' });
  await database.query('CREATE DOMAIN due AS date');
  await database.query('CREATE DOMAIN moments AS timestamp[]');
  const moment = '2026-11-21T23:30:00+0000';
  const expected: [type: string, value: JsonValue, stored: string][] = [
    ['date', moment, '2026-11-22'],
    ['timestamp', moment, '2026-11-22 00:30:00'],
    ['timestamp(3)', '2026-11-21T23:30:00.1239Z', '2026-11-22 00:30:00.124'],
    ['public.due', moment, '2026-11-22'],
    ['date[]', [moment, null, '2026-11-21'], '{2026-11-22,NULL,2026-11-21}'],
    ['public.due[]', [[moment], ['2026-11-21']], '{{2026-11-22},{2026-11-21}}'],
    ['public.moments', [moment], '{"2026-11-22 00:30:00"}'],
    ['date', '2026-11-21T23:30:00', '2026-11-21'],
    ['timestamptz', moment, '2026-11-21 23:30:00+00'],
    ['text', moment, moment],
  ];
  await database.withTransaction(async (client) => {
    const types = await describeTypes(
      client,
      expected.map(([type]) => type),
    );
    for (const [index, [type, value, stored]] of expected.entries()) {
      const { formatted, shape } = types[index]!;
      const result = columnText(value, { name: 'c', formatted, shape }, { timezone: 'Europe/Berlin' });
      assert('text' in result, JSON.stringify(result));
      const { rows } = await client.query<{ c: string }>(`SELECT CAST($1::text AS ${type})::text AS c`, [result.text]);
      assert.equal(rows[0]!.c, stored, type);
    }
  });
});
