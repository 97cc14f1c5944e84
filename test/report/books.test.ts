import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { readBooks, type Books } from '../../src/report/books.ts';
import { createDatabase } from '../support/database.ts';
import { seededFigures } from '../support/seeded-figures.ts';
import { seedNight, type SeededContract, type SeededNightOptions } from '../support/seeded-night.ts';

const { database } = await createDatabase({ after });

const contracts: SeededContract[] = [
  { key: 'a' },
  { key: 'b', outcome: 'degraded' },
  { key: 'c', outcome: 'failed' },
  { key: 'd', chunk: 2 },
  { key: 'e', chunk: 3, outcome: 'not-started' },
];

let jobs = 0;
const jobName = (): string => `books ${++jobs}`;

/** The books of a seeded night; `spoil` is done to the ledger before they are read, with the instance as $1. */
async function booksOf(night: Partial<SeededNightOptions> = {}, ...spoil: string[]): Promise<Books> {
  const { instance } = await seedNight(database, { job: jobName(), contracts, ...night });
  for (const sql of spoil) await database.query(sql, [instance]);
  return readBooks(database, { instance, sums: seededFigures.sums });
}

test('each contract listed is counted once, as what became of it', async () => {
  const { counts, distinctRows, problems } = await booksOf({ sourceTotal: 6, duplicates: 1 });
  assert.deepEqual(counts, {
    sourceTotal: 6,
    listed: 5,
    duplicates: 1,
    enriched: 2,
    degraded: 1,
    failed: 1,
    notStarted: 1,
    inserted: 3,
    updated: 0,
    unchanged: 0,
    missing: 0,
  });
  assert.equal(distinctRows, 3);
  assert.deepEqual(problems, []);
});

test('rows held back are counted as such, and the books balance', async () => {
  const { counts, distinctRows, problems } = await booksOf({
    contracts: [
      { key: 'a', outcome: 'held-back' },
      { key: 'b', outcome: 'failed' },
      { key: 'c', outcome: 'held-back' },
    ],
  });
  assert.deepEqual([counts.staged, counts.enriched, counts.inserted, distinctRows], [2, 2, 0, 0]);
  assert.deepEqual(problems, []);
});

test('what made the listing doubtful is told', async () => {
  const { totalChanged, goneMeanwhile } = await booksOf({ totalChanged: true, goneMeanwhile: 2 });
  assert.deepEqual([totalChanged, goneMeanwhile], [true, 2]);
});

test('contracts of the night before that are not listed any more are missing; a listing that was cut off misses none', async () => {
  const job = jobName();
  const before = [...contracts, { key: 'gone' }, { key: 'lost' }];
  await seedNight(database, { job, date: '2026-11-19', contracts: before, report: {} });
  assert.equal((await booksOf({ job })).counts.missing, 2);
  assert.equal((await booksOf({ job, date: '2026-11-21', status: 'planning' })).counts.missing, 0);
});

test('a night begun before the ledger knew its rows has no distinct rows to tell, and no fault for that', async () => {
  const night = await booksOf({ knowsRows: false }, 'DELETE FROM nightfill.target_row WHERE instance = $1');
  assert.equal(night.distinctRows, null);
  assert.deepEqual(night.problems, []);
});

for (const [what, spoil] of [
  ['a planned contract is gone', `DELETE FROM nightfill.contract WHERE instance = $1 AND key = 'a'`],
  ['a failure is gone', `DELETE FROM nightfill.failure WHERE instance = $1`],
  ['the row of a loaded contract is gone', `DELETE FROM nightfill.target_row WHERE instance = $1 AND key = 'a'`],
  ['fewer rows were written than loaded', `UPDATE nightfill.chunk SET inserted = 1 WHERE instance = $1 AND number = 1`],
  [
    'a chunk that was worked on lacks an outcome',
    `WITH more AS (INSERT INTO nightfill.contract (instance, chunk, key, position) VALUES ($1, 1, 'more', 9))
     UPDATE nightfill.chunk SET contracts = 4 WHERE instance = $1 AND number = 1`,
  ],
  [
    'a chunk that was not started has loaded',
    `UPDATE nightfill.chunk SET status = 'not-started' WHERE instance = $1 AND number = 1`,
  ],
] as const) {
  test(`the books say which chunk does not balance where ${what}`, async () => {
    const { problems } = await booksOf({}, spoil);
    assert.equal(problems.filter((problem) => problem.startsWith('chunk 1 (')).length, 1, problems.join('; '));
    assert.deepEqual(
      problems.filter((problem) => problem.startsWith('chunk 2')),
      [],
    );
  });
}

test('a problem names every figure that it is judged by', async () => {
  const { problems } = await booksOf({}, `DELETE FROM nightfill.failure WHERE instance = $1`);
  assert.deepEqual(problems, [
    'chunk 1 (partial) counts 3 contracts, 2 loaded and 1 failed, where 3 are planned, 0 failures are kept, 0 rows are held back, 2 rows were written, 2 rows of the target are theirs',
  ]);
});

test('counts that do not add up to what was listed are told for the night as well', async () => {
  const { problems } = await booksOf({}, `UPDATE nightfill.chunk SET enriched = 5 WHERE instance = $1 AND number = 2`);
  assert.equal(
    problems[0],
    '5 contracts were listed, and 9 are counted as 6 enriched, 1 degraded, 1 failed and 1 not started',
  );
});

test('of a night of which many chunks are broken the first five are named', async () => {
  const many = Array.from({ length: 7 }, (_, index) => ({ key: `k${index}`, chunk: index + 1 }));
  const { problems } = await booksOf({ contracts: many }, `DELETE FROM nightfill.contract WHERE instance = $1`);
  assert.deepEqual(
    problems.map((problem) => problem.split(' (')[0]),
    ['chunk 1', 'chunk 2', 'chunk 3', 'chunk 4', 'chunk 5', 'and further chunks'],
  );
});
