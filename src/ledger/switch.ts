import type { LoadResult } from '../sinks/target/copy-upsert.ts';
import type { Queryable } from '../sinks/postgres/postgres.ts';
import { storeAmounts } from './amount.ts';
import { storeFailures, type FailureRecord } from './failure.ts';

/** A chunk with rows held back. */
export interface HeldBackChunk {
  number: number;
  /** The attempts that hold rows back, in order; the switch completes the figures of the last. */
  attempts: number[];
}

/** A row held back that the target refused at the switch. */
export interface RefusedRow {
  contract: { key: string };
  /** Number of the attempt that held the row back. */
  attempt: number;
  failure: FailureRecord;
}

export interface SwitchedChunk extends HeldBackChunk {
  /** Without the results per row, because those of a million rows would not fit into memory. */
  result: Omit<LoadResult, 'stored' | 'rejected'>;
  /** Keys of the contracts whose rows are now in the target. */
  keys: readonly string[];
  refused: RefusedRow[];
}

/** Progress of a night with `commit: run`, which decides whether it may switch. */
export interface SwitchState {
  /** The whole listing is stored. */
  planned: boolean;
  listed: number;
  failed: number;
  notStarted: number;
}

export async function readSwitchState(database: Queryable, instance: string): Promise<SwitchState> {
  const { rows } = await database.query<SwitchState>(
    `SELECT status <> 'planning' AS planned, totals.*
     FROM nightfill.instance, LATERAL (
       SELECT coalesce(sum(contracts), 0)::integer AS listed, coalesce(sum(chunk.failed), 0)::integer AS failed,
         coalesce(sum(contracts) FILTER (WHERE chunk.status = 'not-started'), 0)::integer AS "notStarted"
       FROM nightfill.chunk WHERE chunk.instance = instance.id
     ) AS totals WHERE id = $1`,
    [instance],
  );
  return rows[0]!;
}

export async function heldBackChunks(client: Queryable, instance: string): Promise<HeldBackChunk[]> {
  const { rows } = await client.query<HeldBackChunk>(
    `SELECT chunk AS number, json_agg(DISTINCT attempt ORDER BY attempt) AS attempts
     FROM nightfill.staged WHERE instance = $1 GROUP BY chunk ORDER BY chunk`,
    [instance],
  );
  return rows;
}

export interface HeldBackRow {
  /** The contract's key. */
  key: string;
  attempt: number;
  /** As text, in the order of the target's columns. */
  cells: (string | null)[];
}

export async function heldBackRows(
  client: Queryable,
  { instance, chunk }: { instance: string; chunk: number },
): Promise<HeldBackRow[]> {
  const { rows } = await client.query<HeldBackRow>(
    `SELECT key, attempt, cells FROM nightfill.staged WHERE instance = $1 AND chunk = $2 ORDER BY attempt, position`,
    [instance, chunk],
  );
  return rows;
}

export async function dropHeldBackRows(client: Queryable, instance: string): Promise<void> {
  await client.query(`DELETE FROM nightfill.staged WHERE instance = $1`, [instance]);
}

/** Turns rows that the target refused at the switch (by a trigger or foreign key) into failures of their contracts. */
export async function failRefusedRows(
  client: Queryable,
  { number, attempts, refused }: SwitchedChunk,
  { instance, run }: { instance: string; run: string },
): Promise<void> {
  const keys = refused.map(({ contract }) => contract.key);
  await storeFailures(client, { number, failed: refused }, { instance, run });
  const { rows: stale } = await client.query<{ key: string }>(
    `DELETE FROM nightfill.stale WHERE instance = $1 AND key = ANY ($2) RETURNING key`,
    [instance, keys],
  );
  const wasDegraded = new Set(stale.map(({ key }) => key));
  await client.query(`DELETE FROM nightfill.staged WHERE instance = $1 AND key = ANY ($2)`, [instance, keys]);
  // No later switch completes an attempt that holds nothing back any more, so its totals must go.
  await client.query(
    `DELETE FROM nightfill.chunk_amount AS amount WHERE instance = $1 AND chunk = $2 AND attempt = ANY ($3)
       AND NOT EXISTS (SELECT FROM nightfill.staged
         WHERE staged.instance = $1 AND staged.chunk = $2 AND staged.attempt = amount.attempt)`,
    [instance, number, attempts],
  );
  const degradedOf = (some: readonly string[]): number => some.filter((key) => wasDegraded.has(key)).length;
  const degraded = degradedOf(keys);
  await client.query(
    `UPDATE nightfill.chunk SET enriched = enriched - $3, degraded = degraded - $4, failed = failed + $5,
       status = CASE WHEN failed + $5 = contracts THEN 'failed' ELSE 'partial' END
     WHERE instance = $1 AND number = $2`,
    [instance, number, keys.length - degraded, degraded, keys.length],
  );
  // Each refusal is charged to the attempt that held the row back, which may belong to an earlier run.
  for (const [attempt, those] of Map.groupBy(refused, (one) => one.attempt)) {
    const ofAttempt = those.map(({ contract }) => contract.key);
    // oxlint-disable-next-line no-await-in-loop -- a connection runs one statement at a time
    await client.query(
      `UPDATE nightfill.chunk_attempt SET enriched = enriched - $4, degraded = degraded - $5, failed = failed + $6
       WHERE instance = $1 AND chunk = $2 AND attempt = $3`,
      [instance, number, attempt, ofAttempt.length - degradedOf(ofAttempt), degradedOf(ofAttempt), ofAttempt.length],
    );
  }
}

/** Stores the figures that were unknown while the rows were held back: counts and digest of the load, and amounts in the target. */
export async function completeSwitchedChunk(
  client: Queryable,
  chunk: SwitchedChunk,
  o: { instance: string; independentSums: readonly string[] },
): Promise<void> {
  const { instance } = o;
  const { number, attempts, result, keys } = chunk;
  const attempt = attempts.at(-1)!;
  const counts = [result.inserted, result.updated, result.unchanged, result.digest];
  await client.query(`DELETE FROM nightfill.chunk_amount WHERE instance = $1 AND chunk = $2 AND attempt = ANY ($3)`, [
    instance,
    number,
    attempts,
  ]);
  await storeAmounts(client, { number, attempt, result, heldBack: false, keys }, o);
  await client.query(
    `UPDATE nightfill.chunk_attempt SET inserted = $4, updated = $5, unchanged = $6, digest = $7
     WHERE instance = $1 AND chunk = $2 AND attempt = $3`,
    [instance, number, attempt, ...counts],
  );
  await client.query(
    `UPDATE nightfill.chunk SET inserted = inserted + $3, updated = updated + $4, unchanged = unchanged + $5,
       digest = CASE WHEN digest IS NULL THEN $6 ELSE encode(sha256(convert_to(digest || $6, 'UTF8')), 'hex') END
     WHERE instance = $1 AND number = $2`,
    [instance, number, ...counts],
  );
}
