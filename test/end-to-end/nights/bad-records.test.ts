import { describe, test, type TestContext } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { listAndLookUp, scriptedNight } from '../../support/scripted-job.ts';

const records = [
  { id: 'good-1' },
  { id: 'nul' },
  { id: 'surrogate' },
  { id: 'not-a-number' },
  { id: 'too-many-digits' },
  { id: 'too-precise' },
  { id: 'too-long' },
  { id: 'not-a-date' },
  { id: 'an-object' },
  { id: 'absent' },
  { id: 'key-null' },
  { id: 'good-1' },
  { name: 'nobody knows its key' },
  { id: null },
  { id: 'lone-\ud800-key' },
  { id: 'good-2' },
];

const contracts: Record<string, object> = {
  'good-1': {},
  'good-2': { name: 'also good', amount: '2.50', since: '2026-06-30T22:30:00+0000' },
  nul: { name: 'a\0b' },
  surrogate: { name: 'half of 🚀: \ud83d' },
  'not-a-number': { amount: 'twelve' },
  'too-many-digits': { amount: '12345678901.00' },
  'too-precise': { amount: '0.001' },
  'too-long': { currency: 'EURO' },
  'not-a-date': { since: '2026-02-30' },
  'an-object': { amount: { of: 'money' } },
  absent: { must: undefined },
  'key-null': { id: null },
};

test('a record that cannot be loaded fails alone, under a code of its own, and the rest of its chunk is loaded', async (t) => {
  const { night } = await scriptedNight(t, {
    script: listAndLookUp(
      records,
      (key) => contracts[key] && { id: key, must: 1, since: '2026-01-31', ...contracts[key] },
    ),
    job: {
      timezone: 'Europe/Berlin',
      load: {
        table: 'contracts',
        key: ['id'],
        columns: {
          id: { from: 'contract.id', type: 'text' },
          name: { from: 'contract.name', type: 'text', default: null },
          currency: { from: 'contract.currency', type: 'char(3)', default: 'EUR' },
          amount: { from: 'contract.amount', type: 'numeric(12,2)', default: '1.00' },
          since: { from: 'contract.since', type: 'date' },
          must: { from: 'contract.must', type: 'integer' },
        },
      },
    },
  });
  const run = await night.nightfill('run', 'job.yaml');
  assert.equal(run.exitCode, 3, run.stdout + run.stderr);
  const { counts, failures, chunks, amounts, tasks } = await night.report();
  assert.deepEqual(Object.fromEntries(failures.map(({ key, code, stage }) => [key, `${stage} ${code}`])), {
    nul: 'map VALUE_HAS_NUL',
    surrogate: 'map VALUE_NOT_UNICODE',
    'not-a-number': 'load PG_22P02',
    'too-many-digits': 'map VALUE_OUT_OF_RANGE',
    'too-precise': 'map VALUE_LOSES_DIGITS',
    'too-long': 'map VALUE_TOO_LONG',
    'not-a-date': 'load PG_22008',
    'an-object': 'map VALUE_WRONG_TYPE',
    absent: 'map VALUE_ABSENT',
    'key-null': 'load KEY_MISSING',
    '(record 13 of the listing)': 'list CONTRACT_KEY_MISSING',
    '(record 14 of the listing)': 'list CONTRACT_KEY_MISSING',
    '(record 15 of the listing)': 'list CONTRACT_KEY_MISSING',
  });
  assert(failures.every((failure) => failure.class === 'data' && failure.advice.action === 'fix-record'));
  assert.equal(chunks.length, 1);
  // Those that failed at the load had been fetched and mapped by then.
  const before = failures.filter(({ stage }) => stage !== 'load').length;
  const fetched = tasks.find(({ kind }) => kind === 'contract')!;
  assert.deepEqual([fetched.count, fetched.succeeded, fetched.failed], [15, 15 - before, before]);
  assert.deepEqual(
    [counts.listed, counts.duplicates, counts.enriched, counts.failed, counts.notStarted],
    [15, 1, 2, 13, 0],
  );
  assert.deepEqual(await night.query('SELECT id, name, amount::text, since::text FROM contracts ORDER BY id'), [
    { id: 'good-1', name: null, amount: '1.00', since: '2026-01-31' },
    { id: 'good-2', name: 'also good', amount: '2.50', since: '2026-07-01' },
  ]);
  const euros = amounts.find(({ currency }) => currency === 'EUR');
  assert.equal(euros?.loaded, '3.500');
  // What the answers said counts, also where the column could not hold it: too many digits, and too precise.
  assert.equal(euros?.failed, '12345678906.001');
  for (const { variance } of amounts) assert.equal(Number(variance), 0);
});

test('what Postgres cannot store is a failure too where it stands in the listing, never a default taken in silence', async (t) => {
  const { night } = await scriptedNight(t, {
    script: () => ({
      json: {
        data: [
          { id: 'good', name: 'text that only looks so: \\u0000 \\ud83d', amount: '1.50' },
          { id: 'nul', name: 'a\0b', amount: '1.50' },
          { id: 'surrogate', name: '\ud83d', amount: '1.50' },
        ],
      },
    }),
    job: {
      lookups: {},
      load: {
        table: 'contracts',
        key: ['id'],
        columns: {
          id: { from: 'listed.id', type: 'text' },
          name: { from: 'listed.name', type: 'text', default: 'nobody' },
          currency: { from: 'listed.currency', type: 'char(3)', default: 'EUR' },
          amount: { from: 'listed.amount', type: 'numeric(12,2)', default: 0 },
        },
      },
    },
  });
  const run = await night.nightfill('run', 'job.yaml');
  assert.equal(run.exitCode, 3, run.stdout + run.stderr);
  const { failures, amounts } = await night.report();
  assert.deepEqual(
    failures.map(({ key, code, amount }) => ({ key, code, amount })),
    [
      { key: 'nul', code: 'VALUE_HAS_NUL', amount: '1.50' },
      { key: 'surrogate', code: 'VALUE_NOT_UNICODE', amount: '1.50' },
    ],
  );
  assert.deepEqual(await night.query('SELECT id, name, amount::text FROM contracts'), [
    { id: 'good', name: 'text that only looks so: \\u0000 \\ud83d', amount: '1.50' },
  ]);
  assert.deepEqual(
    amounts.map(({ loaded, failed }) => ({ loaded, failed })),
    [{ loaded: '1.50', failed: '3.00' }],
  );
});

test('the currency of a failed contract is not known where the listing has a text that Postgres cannot store', async (t) => {
  const { night } = await scriptedNight(t, {
    script: listAndLookUp(
      [
        { id: 'good', currency: 'EUR', amount: '1.00' },
        { id: 'gone', currency: 'E\0R', amount: '2.00' },
        { id: 'lost', currency: '\ud83d', amount: '4.00' },
      ],
      (id) => (id === 'good' ? { id, currency: 'EUR', amount: '1.00' } : undefined),
    ),
  });
  const run = await night.nightfill('run', 'job.yaml', '--report', 'report.json');
  assert.equal(run.exitCode, 3, run.stderr);
  const { counts, failures, amounts } = await night.report('report.json');
  assert.deepEqual([counts.enriched, counts.failed], [1, 2]);
  assert.deepEqual(
    failures.map(({ key, amount, currency }) => ({ key, amount, currency })),
    [
      { key: 'gone', amount: '2.00', currency: undefined },
      { key: 'lost', amount: '4.00', currency: undefined },
    ],
  );
  assert.deepEqual(
    amounts.map(({ currency, failed }) => `${currency} ${failed}`),
    ['EUR 0.00', 'null 6.00'],
  );
});

describe('a record of the listing that Postgres cannot store fails alone', { concurrency: 2 }, () => {
  /** A job without lookups that keeps whatever stands at `extra`; the records are JSON texts. */
  const listedNight = async (t: TestContext, records: readonly string[]) => {
    const { night } = await scriptedNight(t, {
      script: () => ({ body: `{"data":[${records.join()}]}`, headers: { 'content-type': 'application/json' } }),
      job: {
        lookups: {},
        failures: { stopAbove: '100%' },
        chunk: { size: 40 },
        load: {
          table: 'contracts',
          key: ['id'],
          columns: {
            id: { from: 'listed.id', type: 'text' },
            extra: { from: 'listed.extra', type: 'jsonb', default: null },
            currency: { from: 'listed.currency', type: 'char(3)', default: 'EUR' },
            amount: { from: 'listed.amount', type: 'numeric(12,2)', default: '1.00' },
          },
        },
      },
    });
    const run = await night.nightfill('run', 'job.yaml', '--report', 'report.json');
    return { night, run, report: await night.report('report.json') };
  };
  const nested = (levels: number): string => `${'['.repeat(levels)}${']'.repeat(levels)}`;
  const random = (length: number): string =>
    Array.from({ length }, (_, index) => String.fromCodePoint(0x4e00 + ((index * 7_919) % 20_000))).join('');

  test('a number beyond numeric, an endless key, nesting without end', async (t) => {
    const { night, run, report } = await listedNight(t, [
      '{"id":"good"}',
      '{"id":"huge","extra":1e200000}',
      '{"id":"tiny","extra":{"deep":[1e-20000]}}',
      `{"id":"nested","extra":${nested(2_000)}}`,
      `{"id":"bottomless","extra":${nested(10_000)}}`,
      `{"id":${nested(10_000)}}`,
      `{"id":"${random(1_000)}"}`,
      `{"id":"${'k'.repeat(1_025)}"}`,
      `{"id":"${'k'.repeat(1_024)}"}`,
      `{"id":"text","extra":"${random(500_000)}"}`,
      '{"id":"amount","amount":1e200000}',
      `{"id":"shallow","extra":${nested(400)}}`,
    ]);
    assert.equal(run.exitCode, 3, run.stderr);
    assert.deepEqual(Object.fromEntries(report.failures.map(({ key, code, stage }) => [key, `${stage} ${code}`])), {
      huge: 'list LISTED_RECORD_UNUSABLE',
      tiny: 'list LISTED_RECORD_UNUSABLE',
      nested: 'list LISTED_RECORD_UNUSABLE',
      bottomless: 'list LISTED_RECORD_UNUSABLE',
      amount: 'list LISTED_RECORD_UNUSABLE',
      '(record 6 of the listing)': 'list CONTRACT_KEY_MISSING',
      '(record 7 of the listing)': 'list CONTRACT_KEY_MISSING',
      '(record 8 of the listing)': 'list CONTRACT_KEY_MISSING',
    });
    assert(report.failures.every(({ advice }) => advice.action === 'fix-record'));
    const messageOf = (wanted: string): string => report.failures.find(({ key }) => key === wanted)!.message;
    assert.match(
      messageOf('huge'),
      /^record 2 of the listing cannot be stored: Postgres: value overflows numeric format/,
    );
    assert.match(messageOf('(record 8 of the listing)'), /expected at most 1024 bytes, got 1025$/);
    const loaded = await night.query<{ id: string }>('SELECT left(id, 8) AS id FROM contracts ORDER BY id');
    assert.deepEqual(
      loaded.map(({ id }) => id),
      ['good', 'kkkkkkkk', 'shallow', 'text'],
    );
  });

  test('whatever JSON is listed, every record is loaded or fails, and the night ends in order', async (t) => {
    const oddNumber = fc.constantFrom(
      '1e200000',
      '-1e-200000',
      '1e131071',
      '-0',
      '1E400',
      '0.1e-16384',
      '9'.repeat(40),
    );
    const oddText = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('\0', '\ud800', '\udc00\ud800', 'NaN', 'Infinity', random(3_000), '\\u0000', '__proto__'),
    );
    const value = fc.oneof(
      { weight: 3, arbitrary: oddNumber },
      { weight: 3, arbitrary: oddText.map((text) => JSON.stringify(text)) },
      { weight: 1, arbitrary: fc.integer({ min: 1, max: 20_000 }).map(nested) },
      { weight: 3, arbitrary: fc.jsonValue({ maxDepth: 4 }).map((json) => JSON.stringify(json)) },
    );
    const field = fc.record({ id: value, extra: value, currency: value, amount: value }, { requiredKeys: [] });
    const record = fc.oneof(
      { weight: 1, arbitrary: value },
      {
        weight: 9,
        arbitrary: field.map(
          (fields) =>
            `{${Object.entries(fields)
              .map(([name, json]) => `"${name}":${json}`)
              .join()}}`,
        ),
      },
    );
    const records = fc.sample(record, { numRuns: 200, seed: 20_261_121 });
    const { run, report } = await listedNight(t, [...records, '{"id":"good"}']);
    assert.equal(run.exitCode, 3, run.stderr);
    const { counts, failures } = report;
    assert.equal(counts.listed + counts.duplicates, 201);
    assert.equal(counts.enriched + counts.failed, counts.listed);
    assert(counts.enriched > 1 && failures.length === counts.failed, JSON.stringify(counts));
    assert(failures.every((failure) => failure.class === 'data'));
  });
});

test('a contract that fails leaves its earlier row untouched', async (t) => {
  let spoilt = false;
  const { night } = await scriptedNight(t, {
    script: listAndLookUp([{ id: 'a' }, { id: 'b' }], (id) => ({
      id,
      name: spoilt && id === 'a' ? '\0' : `name of ${id}`,
      amount: spoilt ? 2 : 1,
    })),
  });
  assert.equal((await night.nightfill('run', 'job.yaml')).exitCode, 0);
  spoilt = true;
  assert.equal((await night.nightfill('run', 'job.yaml', '--again')).exitCode, 3);
  assert.deepEqual(await night.query('SELECT id, name, amount::text FROM contracts ORDER BY id'), [
    { id: 'a', name: 'name of a', amount: '1.00' },
    { id: 'b', name: 'name of b', amount: '2.00' },
  ]);
});
