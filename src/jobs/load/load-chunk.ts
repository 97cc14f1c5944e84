import { attemptCommitted, forgetAttempts, recordAttempt, type ChunkRecord } from '../../ledger/attempt.ts';
import { splitChunk } from '../../ledger/plan.ts';
import type { PlannedChunk } from '../../ledger/planned-contract.ts';
import { claimRows } from '../../ledger/target-row.ts';
import { DatabaseError, type ClientForCopy } from '../../sinks/postgres/postgres.ts';
import { copyUpsert, type StoredRow, type LoadResult, type RejectedRow } from '../../sinks/target/copy-upsert.ts';
import { prepareTarget, requireTarget } from '../../sinks/target/target-table.ts';
import { createTrial } from '../../sinks/target/trial-table.ts';
import type { EnrichedContract } from '../enrich/answer.ts';
import type { RunContext } from '../run/run-context.ts';
import { independentSums, summedColumns } from './amounts.ts';
import { failureRecord } from './failure-record.ts';
import { outcomesOf, refusedAll } from './load-outcomes.ts';

export type EndedContract = Exclude<EnrichedContract, { status: 'not-started' }>;

interface LoadOptions {
  context: RunContext;
  /** Keys of the contracts that were not started because an API rests. */
  notStarted: readonly string[];
  enrichMs: number;
  /** The whole chunk is worked on again, not only what failed. */
  wholeChunk: boolean;
}

/**
 * Loads a chunk in one transaction; repeats it after a transient fault of Postgres, and records failures when Postgres
 * refuses the whole chunk. Throws errors that affect every chunk; this one then stays unchanged.
 */
export async function loadChunk(
  chunk: PlannedChunk,
  contracts: readonly EndedContract[],
  o: LoadOptions,
): Promise<ChunkRecord> {
  const { context } = o;
  const mapped = contracts.filter((contract) => contract.status === 'mapped');
  const failed = contracts.filter((contract) => contract.status === 'failed');
  const keys = contracts.map(({ contract }) => contract.key);
  const attempt = new LoadAttempt(chunk.number, keys, o);
  try {
    return await attempt.commit(
      async (client) => loadRows(client, { chunk: chunk.number, mapped, context }),
      (result) => outcomesOf(mapped, failed, { result, job: context.job }),
    );
  } catch (error) {
    context.stop.signal.throwIfAborted();
    if (!(error instanceof DatabaseError)) throw error;
    if (error.class === 'config' && !context.dryRun)
      // Throws TargetLostError when the target was dropped or changed, or rights were revoked: no chunk could be loaded.
      await context.ledger.commit(async (client) => requireTarget(client, context.job.load, error));
    const failure = failureRecord(error, { stage: 'load' });
    return attempt.commit(
      async () => Promise.resolve(undefined),
      () => ({ loaded: [], failed: [...failed, ...refusedAll(mapped, failure, context.job)] }),
    );
  }
}

/** The transaction of one attempt at a chunk, which may have to be begun again. */
class LoadAttempt {
  readonly #chunk: number;
  readonly #keys: readonly string[];
  readonly #o: LoadOptions;
  readonly #begun: number;
  /** What the previous transaction recorded. Its COMMIT may have succeeded although the answer was lost. */
  #before: ChunkRecord | undefined;
  /** Number of the new chunk for the contracts not started. */
  #cut: number | undefined;

  constructor(chunk: number, keys: readonly string[], o: LoadOptions) {
    this.#chunk = chunk;
    this.#keys = keys;
    this.#o = o;
    this.#begun = o.context.clock.now();
  }

  async commit(
    write: (client: ClientForCopy) => Promise<LoadResult | undefined>,
    outcomes: (result: LoadResult | undefined) => Pick<ChunkRecord, 'loaded' | 'failed'>,
  ): Promise<ChunkRecord> {
    const { context, enrichMs, wholeChunk } = this.#o;
    const { job, target, dryRun, clock, ledger } = context;
    return ledger.commitChunk(this.#chunk, async (client, attempt) => {
      // The previous transaction held the chunk's lock, so it has ended by now, and the ledger, which commits with the
      // rows, shows how. Asked before taking the lock, it might still have been committing.
      if (this.#before && (await attemptCommitted(client, this.#before, ledger))) return this.#before;
      await this.#forgetEarlier(client, attempt);
      const result = await write(client);
      const record: ChunkRecord = {
        number: this.#chunk,
        attempt,
        whole: wholeChunk,
        enrichMs,
        loadMs: clock.now() - this.#begun,
        result,
        heldBack: holdsBack(context),
        ...outcomes(result),
      };
      const { instance, run, token } = ledger;
      await recordAttempt(client, record, {
        job: job.name,
        instance,
        run,
        token,
        target,
        independentSums: independentSums(job),
        keepLastKnown: dryRun
          ? []
          : job.lookups.filter((one) => one.onFailure === 'last-known').map(({ name }) => name),
        dryRun,
      });
      this.#before = record;
      return record;
    });
  }

  /** Keeps what an earlier attempt recorded of contracts that this one did not start, unless the whole chunk is worked on. */
  async #forgetEarlier(client: ClientForCopy, attempt: number): Promise<void> {
    const { context, notStarted, wholeChunk: whole } = this.#o;
    const { ledger } = context;
    const { instance } = ledger;
    const cut = notStarted.length > 0 && (attempt === 1 || whole);
    const keys = cut ? [...this.#keys, ...notStarted] : [...this.#keys];
    await forgetAttempts(client, { instance, number: this.#chunk, attempt, whole, keys });
    if (!cut) return;
    this.#cut ??= ledger.numbers.nextCut();
    await splitChunk(client, { from: this.#chunk, to: this.#cut, keys: notStarted }, ledger);
  }
}

/** `commit: run`: rows are held back in the ledger until the whole night switches into the target at once. */
const holdsBack = ({ job, dryRun }: RunContext): boolean => job.commit === 'run' && !dryRun;

async function loadRows(
  client: ClientForCopy,
  {
    chunk,
    mapped,
    context,
  }: { chunk: number; mapped: readonly Extract<EnrichedContract, { status: 'mapped' }>[]; context: RunContext },
): Promise<LoadResult> {
  const { job, target, dryRun, stop } = context;
  const { instance } = context.ledger;
  const rows = mapped.map(({ row }) => row);
  const keyOf = (row: number): string => mapped[row]!.contract.key;
  const options = { sums: summedColumns(job), signal: stop.signal, nameOf: (row: number) => `contract ${keyOf(row)}` };
  // Rows held back claim no row of the target yet; the switch finds those that would claim the same one.
  if (holdsBack(context)) return copyUpsert(client, await createTrial(client, target), rows, options);
  const claim = async (stored: readonly StoredRow[]): Promise<RejectedRow[]> =>
    claimRows(client, { instance, chunk, keyOf }, stored);
  if (!dryRun) return copyUpsert(client, target, rows, { ...options, claim });
  // A dry run really loads, into a target that it creates if necessary, and rolls back.
  await client.query('SAVEPOINT rehearsal');
  const result = await copyUpsert(client, await prepareTarget(client, job.load), rows, { ...options, claim });
  await client.query('ROLLBACK TO SAVEPOINT rehearsal');
  await claim(result.stored);
  return result;
}
