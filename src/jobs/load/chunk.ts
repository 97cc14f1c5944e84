import type { ApiRestsError } from '../../sources/api/api-rests-error.ts';
import { copyUpsert, type HeldRow, type LoadResult, type RejectedRow } from '../../sinks/target/copy-upsert.ts';
import { CommitInDoubtError, DatabaseError, type ClientForCopy } from '../../sinks/postgres/postgres.ts';
import { prepareTarget, requireTarget } from '../../sinks/target/target-table.ts';
import { createTrial } from '../../sinks/target/trial-table.ts';
import { amountsOfLoaded, sourcedAmounts, summedColumns, type KnownAmount } from './amounts.ts';
import { attemptCommitted, fenceChunk, forgetAttempts, recordAttempt, type ChunkRecord } from '../chunk-ledger.ts';
import { enrichContract, type EnrichedContract } from '../enrich/enrich.ts';
import { failureRecord, rejectedRow, type FailureRecord } from './failure-record.ts';
import { persist } from '../run/persist.ts';
import { splitChunk, type PlannedChunk, type PlannedContract } from '../plan/list-contracts.ts';
import type { RunContext } from '../run/run-context.ts';
import { isStaged } from './staging.ts';
import { claimRows } from '../../ledger/target-row.ts';

type Ended = Exclude<EnrichedContract, { status: 'not-started' }>;
type Mapped = Extract<EnrichedContract, { status: 'mapped' }>;
type FailedContract = { contract: PlannedContract; failure: FailureRecord; amounts: KnownAmount[] };

export interface ChunkOutcome {
  enriched: number;
  degraded: number;
  failed: number;
}

/**
 * Works on one chunk: asks for its contracts, then loads what came and records what did not, in one transaction.
 * Gives undefined when the run was stopping before any of its contracts had begun, or the deadline had come too near, or
 * an API rested: the chunk stays as it was. Where an API's rest cut it short, what was not started becomes a chunk of its own.
 */
export async function workChunk(
  chunk: PlannedChunk,
  context: RunContext,
  o: { wholeChunk?: boolean; onRest: (error: ApiRestsError) => void },
): Promise<ChunkOutcome | undefined> {
  const { clock, tally } = context;
  const begun = clock.now();
  const results = await enrichAll(chunk, context, o.onRest);
  const contracts = results.filter((result) => result.status !== 'not-started');
  if (contracts.length === 0) return undefined;
  const unstarted = results.filter(({ status }) => status === 'not-started').map(({ contract }) => contract.key);
  const enriched = clock.now();
  tally.enrichMs += enriched - begun;

  return context.loads.add(async () => {
    const loading = clock.now();
    const record = await context.metrics.measure('load', async () =>
      load(chunk, contracts, { context, unstarted, enrichMs: enriched - begun, whole: o.wholeChunk ?? false }),
    );
    tally.loadMs += clock.now() - loading;
    tally.loads += 1;
    tally.bufferedBytes -= contracts.reduce((sum, contract) => sum + bytesOf(contract), 0);
    return settle(record, contracts, context);
  });
}

async function enrichAll(
  chunk: PlannedChunk,
  context: RunContext,
  onRest: (error: ApiRestsError) => void,
): Promise<EnrichedContract[]> {
  let begun: boolean | undefined;
  const results = await Promise.all(
    chunk.contracts.map(async (contract) =>
      context.contracts.add(async () => {
        context.signal.throwIfAborted();
        if (begun === undefined) {
          begun = !context.stopping.aborted && context.admission.admits(chunk);
          if (begun) context.tally.begun += chunk.contracts.length;
        }
        if (!begun) return undefined;
        const result = await context.metrics.measure('contract', async () => enrichContract(contract, context), {
          failed: ({ status }) => status === 'failed',
        });
        if (result.status === 'not-started') {
          context.tally.begun -= 1;
          onRest(result.rests);
          return result;
        }
        context.tally[provisionalOutcome(result)] += 1;
        context.tally.fetchedBytes += bytesOf(result);
        context.tally.bufferedBytes += bytesOf(result);
        context.onContract();
        return result;
      }),
    ),
  );
  return results.filter((result) => result !== undefined);
}

const bytesOf = (contract: Ended): number =>
  contract.status === 'failed' ? 500 : contract.row.reduce((sum, text) => sum + 16 + (text?.length ?? 0), 100);

/**
 * Loads in one transaction, again when Postgres had a transient fault, and as failures when it refuses the whole chunk.
 * Throws what other chunks would meet as well: then this one stays as it was.
 */
async function load(
  chunk: PlannedChunk,
  contracts: Ended[],
  {
    context,
    unstarted,
    enrichMs,
    whole,
  }: { context: RunContext; /** Keys. */ unstarted: readonly string[]; enrichMs: number; whole: boolean },
): Promise<ChunkRecord> {
  const { clock } = context;
  const mapped = contracts.filter((contract) => contract.status === 'mapped');
  const failed: FailedContract[] = contracts.filter((contract) => contract.status === 'failed');
  const begun = clock.now();
  const keys = contracts.map(({ contract }) => contract.key);
  let rest: number | undefined;
  const staged = isStaged(context);
  let inDoubt: ChunkRecord | undefined;
  const commit = async (write: (client: ClientForCopy) => Promise<LoadResult | undefined>): Promise<ChunkRecord> => {
    let record: ChunkRecord | undefined;
    try {
      await context.database.withTransaction(async (client) => {
        const attempt = await fenceChunk(client, { number: chunk.number, context });
        // The answer to an earlier COMMIT was lost. Its transaction held the chunk's lock, so it has ended by now, and
        // the ledger, which commits with the rows, knows how. Asked before the lock, it might still be committing.
        if (inDoubt && (await attemptCommitted(client, inDoubt, context))) {
          record = inDoubt;
          return;
        }
        // What an earlier attempt recorded of contracts that this one did not start stays, unless all is done anew.
        const cut = unstarted.length > 0 && (attempt === 1 || whole);
        const forgotten = cut ? [...keys, ...unstarted] : keys;
        await forgetAttempts(client, { number: chunk.number, attempt, whole, keys: forgotten, context });
        if (cut) {
          rest ??= nextChunk(context);
          await splitChunk(client, { from: chunk.number, to: rest, keys: unstarted }, context);
        }
        const result = await write(client);
        const outcomes = splitOutcomes(mapped, failed, { result, context });
        const loadMs = clock.now() - begun;
        record = { number: chunk.number, attempt, whole, enrichMs, loadMs, result, staged, ...outcomes };
        await recordAttempt(client, record, context);
      });
    } catch (error) {
      if (error instanceof CommitInDoubtError) inDoubt = record;
      throw error;
    }
    return record!;
  };
  const sums = summedColumns(context.job);
  const nameOf = (row: number): string => `contract ${mapped[row]!.contract.key}`;
  const claim = async (client: ClientForCopy, held: readonly HeldRow[]): Promise<RejectedRow[]> =>
    claimRows(
      client,
      { instance: context.instance, chunk: chunk.number, keyOf: (row) => mapped[row]!.contract.key },
      held,
    );
  try {
    return await persist(
      async () =>
        commit(async (client) => {
          const rows = mapped.map(({ row }) => row);
          const options = { sums, signal: context.signal, nameOf };
          // Rows held back stand in no row of the target yet: the switch finds those that would share one.
          if (staged) return copyUpsert(client, await createTrial(client, context.target), rows, options);
          const claiming = { ...options, claim: async (held: readonly HeldRow[]) => claim(client, held) };
          if (!context.dryRun) return copyUpsert(client, context.target, rows, claiming);
          // A rehearsal really loads, with a table of its own where there is none, and takes the rows back.
          await client.query('SAVEPOINT rehearsal');
          const result = await copyUpsert(client, await prepareTarget(client, context.job.load), rows, claiming);
          await client.query('ROLLBACK TO SAVEPOINT rehearsal');
          await claim(client, result.held);
          return result;
        }),
      context,
      { chunk: chunk.number },
    );
  } catch (error) {
    context.signal.throwIfAborted();
    if (!(error instanceof DatabaseError)) throw error;
    if (error.class === 'config' && !context.dryRun) await requireUnchangedTarget(error, context);
    const failure = failureRecord(error, { stage: 'load' });
    for (const entry of mapped.splice(0))
      failed.push({ contract: entry.contract, failure, amounts: refusedAmounts(entry, context) });
    return persist(async () => commit(async () => Promise.resolve(undefined)), context, { chunk: chunk.number });
  }
}

function nextChunk({ plan }: RunContext): number {
  plan.lastChunk += 1;
  plan.cut.push(plan.lastChunk);
  return plan.lastChunk;
}

/** Throws TargetLostError when no chunk can be loaded any more: the target was dropped, changed, or its rights revoked. */
async function requireUnchangedTarget(cause: DatabaseError, context: RunContext): Promise<void> {
  const look = async (): Promise<void> =>
    context.database.withTransaction(async (client) => requireTarget(client, context.job.load, cause));
  await persist(look, context);
}

/** Sorts the contracts by what became of them, rows that Postgres refused among the failed. */
function splitOutcomes(
  mapped: readonly Mapped[],
  failed: readonly FailedContract[],
  { result, context }: { result: LoadResult | undefined; context: RunContext },
): Pick<ChunkRecord, 'loaded' | 'failed'> {
  const rejected = new Map(result?.rejected.map((rejection) => [rejection.row, rejection]));
  const held = new Map(result?.held.map((row) => [row.row, row]));
  const loaded: ChunkRecord['loaded'][number][] = [];
  const refused: FailedContract[] = [];
  mapped.forEach((entry, index) => {
    const rejection = rejected.get(index);
    if (!rejection) {
      const { sourced, contract } = entry;
      const amounts = amountsOfLoaded(context.job, held.get(index)!, { sourced, listed: contract.listed });
      return loaded.push({ ...entry, ordinal: index, amounts });
    }
    const failure = rejectedRow(rejection);
    return refused.push({ contract: entry.contract, failure, amounts: refusedAmounts(entry, context) });
  });
  return { loaded, failed: [...failed, ...refused] };
}

const textsOf =
  (row: Mapped['row'], { job }: RunContext) =>
  (name: string): string | null | undefined =>
    row[job.load.columns.findIndex((column) => column.name === name)];

const refusedAmounts = ({ row, sourced, contract }: Mapped, context: RunContext): KnownAmount[] =>
  sourced ?? sourcedAmounts(context.job, { answered: textsOf(row, context), listed: contract.listed });

/** Corrects the running figures by what loading refused. */
function settle(record: ChunkRecord, contracts: Ended[], { tally }: RunContext): ChunkOutcome {
  const degraded = record.loaded.filter(({ stale }) => stale.length > 0).length;
  const outcome = { enriched: record.loaded.length - degraded, degraded, failed: record.failed.length };
  const before = { enriched: 0, degraded: 0, failed: 0 };
  for (const contract of contracts) before[provisionalOutcome(contract)] += 1;
  for (const name of ['enriched', 'degraded', 'failed'] as const) tally[name] += outcome[name] - before[name];
  if (record.attempt === 1) tally.chunksLoaded += 1;
  return outcome;
}

const provisionalOutcome = (contract: Ended): keyof ChunkOutcome =>
  contract.status === 'failed' ? 'failed' : contract.stale.length > 0 ? 'degraded' : 'enriched';
