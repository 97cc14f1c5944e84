import type { Queryable } from '../sinks/postgres/postgres.ts';
import { fromStoredJson } from './listed-record.ts';
import type { EarlierFailure, PlannedChunk, WorkSelection } from './planned-contract.ts';

/** SQL condition: the row of `failure` has a second chance in the run that the parameter names. */
const hasSecondChance = (run: string): string =>
  `failure.run = ${run} AND failure.class = 'transient' AND (failure.advice_after IS NULL OR failure.advice_after < now() + interval '2 min')`;

/** Chunks with contracts that have a second chance in this run, and the number of these contracts. */
export async function secondChances(
  database: Queryable,
  { instance, run }: { instance: string; run: string },
): Promise<{ chunk: number; failed: number }[]> {
  const { rows } = await database.query<{ chunk: number; failed: number }>(
    `SELECT chunk, count(*)::integer AS failed FROM nightfill.failure
     WHERE instance = $1 AND ${hasSecondChance('$2')}
     GROUP BY chunk ORDER BY chunk`,
    [instance, run],
  );
  return rows;
}

/** The numbers of the chunks that have work left, in order. */
export async function unfinishedChunks(
  database: Queryable,
  instance: string,
  { chunks, wholeChunks = false }: WorkSelection,
): Promise<number[]> {
  const { rows } = await database.query<{ number: number }>(
    `SELECT number FROM nightfill.chunk
     WHERE instance = $1 AND ($2::integer[] IS NULL OR number = ANY ($2)) AND ($3 OR status <> 'succeeded')
     ORDER BY number`,
    [instance, chunks ?? null, wholeChunks],
  );
  return rows.map(({ number }) => number);
}

/** A chunk of the stored plan with the contracts to work on: those that failed or never started, or all with `wholeChunks`. */
export async function readChunk(
  database: Queryable,
  { instance, number }: { instance: string; number: number },
  { wholeChunks = false, onlyTransient = false, secondChanceOf }: WorkSelection,
): Promise<PlannedChunk> {
  const { rows } = await database.query<
    { key: string; listed: string | null; problem: string | null; failed: boolean } & EarlierFailure
  >(
    // The chunk's status comes from a subquery, and failures are joined by chunk. Without statistics of this night, the
    // planner expects a plain join to have few rows, and compares each row with each.
    `SELECT contract.key, contract.listed::text AS listed, contract.problem, failure.key IS NOT NULL AS failed,
       failure.lookup, failure.code, failure.http_status AS "httpStatus", failure.attempts, failure.advice
     FROM nightfill.contract
     LEFT JOIN nightfill.failure
       ON failure.instance = contract.instance AND failure.chunk = contract.chunk AND failure.key = contract.key
     WHERE contract.instance = $1 AND contract.chunk = $2
       AND ($3 OR (SELECT status FROM nightfill.chunk WHERE instance = $1 AND number = $2) = 'not-started'
         OR (failure.key IS NOT NULL AND (NOT $4 OR failure.class = 'transient')))
       AND ($5::uuid IS NULL OR (${hasSecondChance('$5')}))
     ORDER BY position`,
    [instance, number, wholeChunks, onlyTransient, secondChanceOf ?? null],
  );
  const contracts = rows.map(({ key, listed, problem, failed, ...failedBefore }) => ({
    key,
    problem,
    listed: listed === null ? null : fromStoredJson(listed),
    ...(failed && { failedBefore }),
  }));
  return { number, contracts };
}

/** The keys of contracts that were worked on and did not fail. */
export async function readLoadedKeys(database: Queryable, instance: string): Promise<Set<string>> {
  const { rows } = await database.query<{ key: string }>(
    // Subqueries by index for each contract instead of joins: see readChunk.
    `SELECT key FROM nightfill.contract
     WHERE instance = $1
       AND (SELECT status FROM nightfill.chunk WHERE chunk.instance = $1 AND number = contract.chunk) <> 'not-started'
       AND (SELECT true FROM nightfill.failure WHERE failure.instance = $1 AND failure.key = contract.key) IS NULL`,
    [instance],
  );
  return new Set(rows.map(({ key }) => key));
}
