import { copyUpsert, type LoadResult } from '../../sinks/target/copy-upsert.ts';
import type { ClientForCopy, Queryable } from '../../sinks/postgres/postgres.ts';
import { summedColumns } from './amounts.ts';
import { storeAmounts, storeFailures } from '../chunk-ledger.ts';
import { rejectedRow, type FailureRecord } from './failure-record.ts';
import { lockInstance } from '../../ledger/instance.ts';
import { holdLease } from '../../ledger/lease.ts';
import { rememberRows } from '../../ledger/loaded-row.ts';
import { persist } from '../run/persist.ts';
import type { RunContext } from '../run/run-context.ts';
import { hasStaged } from './staging.ts';
import { claimRows } from '../../ledger/target-row.ts';

interface StagedChunk {
  number: number;
  /** That staged rows, in order; the switch completes the figures of the last. */
  attempts: number[];
}

interface Rejected {
  contract: { key: string };
  /** Of the chunk, that held the row back. */
  attempt: number;
  failure: FailureRecord;
}

interface SwitchedChunk extends StagedChunk {
  /** Without what it says row by row: a night of a million would not fit. */
  result: Omit<LoadResult, 'held' | 'rejected'>;
  keys: readonly string[];
  rejected: Rejected[];
}

/**
 * `commit: run`: loads all rows held back into the target in one transaction, so that readers see the old night or the
 * new one. Gives why not, as a sentence, when contracts that failed or never started forbid it; they stay held back.
 */
export async function switchOver(context: RunContext): Promise<string | undefined> {
  const { database, instance, clock } = context;
  if (!(await persist(async () => hasStaged(database, instance), context))) return undefined;
  const obstacle = await persist(async () => switchObstacle(context, database), context);
  if (obstacle) return obstacle;
  return persist(async () => {
    const begun = clock.now();
    try {
      return await context.metrics.measure('switch', async () =>
        database.withTransaction(async (client) => {
          // An attempt whose answer to COMMIT was lost holds this lock until it has ended: what it switched is gone then.
          await lockInstance(client, instance);
          return (await hasStaged(client, instance)) ? switchWithin(client, context) : undefined;
        }),
      );
    } finally {
      context.tally.loadMs += clock.now() - begun;
    }
  }, context);
}

async function switchWithin(client: ClientForCopy, context: RunContext): Promise<string | undefined> {
  await client.query('SAVEPOINT night');
  const switched: SwitchedChunk[] = [];
  for (const chunk of await stagedChunks(client, context)) switched.push(await switchChunk(client, chunk, context));
  const refused = switched.filter(({ rejected }) => rejected.length > 0);
  for (const chunk of refused) await failRejected(client, chunk, context);
  // Asked also when none was refused: an earlier attempt may have recorded refusals, and the answer to its COMMIT was lost.
  const obstacle = await switchObstacle(context, client);
  if (obstacle) {
    await client.query('ROLLBACK TO SAVEPOINT night');
    for (const chunk of refused) await failRejected(client, chunk, context);
  } else {
    for (const chunk of switched) await completeChunk(client, chunk, context);
    await client.query(`DELETE FROM nightfill.staged WHERE instance = $1`, [context.instance]);
  }
  // At the end, because the lease's row is locked by it, and its heartbeat must not wait for a long switch.
  await holdLease(client, { job: context.job.name, token: context.token });
  return obstacle;
}

/** Why the night may not switch; contracts that failed are tolerated as far as the completeness control says. */
async function switchObstacle({ job, instance }: RunContext, database: Queryable): Promise<string | undefined> {
  // Held back before the job file was changed to let every chunk stand by itself.
  if (job.commit === 'chunk') return undefined;
  const { rows } = await database.query<{ planned: boolean; listed: number; failed: number; waiting: number }>(
    `SELECT status <> 'planning' AS planned, totals.*
     FROM nightfill.instance, LATERAL (
       SELECT coalesce(sum(contracts), 0)::integer AS listed, coalesce(sum(chunk.failed), 0)::integer AS failed,
         coalesce(sum(contracts) FILTER (WHERE chunk.status = 'not-started'), 0)::integer AS waiting
       FROM nightfill.chunk WHERE chunk.instance = instance.id
     ) AS totals WHERE id = $1`,
    [instance],
  );
  const { planned, listed, failed, waiting } = rows[0]!;
  const share = job.controls.find((control) => control.type === 'completeness')?.atLeast ?? 1;
  const needed = Math.ceil(listed * share - 1e-9);
  const held = `commit: run leaves ${job.load.table.schema}.${job.load.table.name} as it was`;
  if (!planned) return `${held}: the listing has not come to its end`;
  if (waiting > 0) return `${held}: ${waiting} of ${listed} contracts were not started`;
  if (listed - failed >= needed) return undefined;
  const tolerated = share === 1 ? '' : `, and completeness asks for ${needed}`;
  return `${held}: ${failed} of ${listed} contracts failed${tolerated}; a rerun fetches them again, then switches`;
}

async function stagedChunks(client: Queryable, { instance }: RunContext): Promise<StagedChunk[]> {
  const { rows } = await client.query<StagedChunk>(
    `SELECT chunk AS number, json_agg(DISTINCT attempt ORDER BY attempt) AS attempts
     FROM nightfill.staged WHERE instance = $1 GROUP BY chunk ORDER BY chunk`,
    [instance],
  );
  return rows;
}

async function switchChunk(client: ClientForCopy, chunk: StagedChunk, context: RunContext): Promise<SwitchedChunk> {
  const { instance, target, job, signal } = context;
  const { rows } = await client.query<{ key: string; attempt: number; cells: (string | null)[] }>(
    `SELECT key, attempt, cells FROM nightfill.staged WHERE instance = $1 AND chunk = $2 ORDER BY attempt, position`,
    [instance, chunk.number],
  );
  const keyOf = (row: number): string => rows[row]!.key;
  const {
    held: _,
    rejected,
    ...result
  } = await copyUpsert(
    client,
    target,
    rows.map(({ cells }) => cells),
    {
      sums: summedColumns(job),
      signal,
      nameOf: (row) => `contract ${keyOf(row)}`,
      claim: async (held) => claimRows(client, { instance, chunk: chunk.number, keyOf }, held),
    },
  );
  const refused = new Set(rejected.map(({ row }) => row));
  const loaded = rows.filter((__, row) => !refused.has(row));
  if (target.marked) {
    const remembered = loaded.map(({ key, cells }) => ({ contract: { key }, row: cells }));
    await rememberRows(client, { job: job.name, instance, target, loaded: remembered });
  }
  return {
    ...chunk,
    result,
    keys: loaded.map(({ key }) => key),
    rejected: rejected.map((rejection) => ({
      contract: { key: keyOf(rejection.row) },
      attempt: rows[rejection.row]!.attempt,
      failure: rejectedRow(rejection),
    })),
  };
}

/** Turns rows that only the target itself refused (a trigger, a foreign key) into failures of their contracts. */
async function failRejected(
  client: Queryable,
  { number, attempts, rejected }: SwitchedChunk,
  context: RunContext,
): Promise<void> {
  const { instance } = context;
  const keys = rejected.map(({ contract }) => contract.key);
  await storeFailures(client, { number, failed: rejected }, context);
  const { rows: stale } = await client.query<{ key: string }>(
    `DELETE FROM nightfill.stale WHERE instance = $1 AND key = ANY ($2) RETURNING key`,
    [instance, keys],
  );
  const wasDegraded = new Set(stale.map(({ key }) => key));
  await client.query(`DELETE FROM nightfill.staged WHERE instance = $1 AND key = ANY ($2)`, [instance, keys]);
  // An attempt of which nothing is held back any more is not completed by a later switch.
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
  for (const [attempt, those] of Map.groupBy(rejected, (one) => one.attempt)) {
    const held = those.map(({ contract }) => contract.key);
    await client.query(
      `UPDATE nightfill.chunk_attempt SET enriched = enriched - $4, degraded = degraded - $5, failed = failed + $6
       WHERE instance = $1 AND chunk = $2 AND attempt = $3`,
      [instance, number, attempt, held.length - degradedOf(held), degradedOf(held), held.length],
    );
  }
}

/** Completes what was left open while the rows were held back: what the target did, and what it now holds. */
async function completeChunk(client: Queryable, chunk: SwitchedChunk, context: RunContext): Promise<void> {
  const { instance } = context;
  const { number, attempts, result, keys } = chunk;
  const attempt = attempts.at(-1)!;
  const counts = [result.inserted, result.updated, result.unchanged, result.digest];
  await client.query(`DELETE FROM nightfill.chunk_amount WHERE instance = $1 AND chunk = $2 AND attempt = ANY ($3)`, [
    instance,
    number,
    attempts,
  ]);
  await storeAmounts(client, { number, attempt, result, staged: false, keys }, context);
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
