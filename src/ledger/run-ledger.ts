import type { Log } from '../observe/log.ts';
import type { Clock } from '../resilience/clock.ts';
import type { ClientForCopy, Database, Queryable } from '../sinks/postgres/postgres.ts';
import { fenceChunk } from './attempt.ts';
import { ChunkNumbers } from './chunk-numbers.ts';
import { underLease } from './lease.ts';
import type { RunIds } from './run-ids.ts';
import { withDatabaseRetry } from './with-database-retry.ts';

export interface RunLedgerOptions extends RunIds {
  database: Database;
  clock: Clock;
  log: Log;
  /** Ends the waiting for a database that is away. */
  signal: AbortSignal;
  /** Milliseconds for which a database that is away is waited for. */
  databaseWaitMs: number;
  /** Everything is tried a single time, however the database fares. */
  once?: boolean;
}

/** The ledger of one run. What it reads and commits is tried again while the database is away. */
export class RunLedger implements RunIds {
  readonly job: string;
  readonly instance: string;
  readonly run: string;
  readonly token: string;
  readonly numbers: ChunkNumbers;
  readonly #o: RunLedgerOptions;

  constructor(o: RunLedgerOptions, numbers = new ChunkNumbers()) {
    this.job = o.job;
    this.instance = o.instance;
    this.run = o.run;
    this.token = o.token;
    this.numbers = numbers;
    this.#o = o;
  }

  /** The same ledger with other bounds. */
  with(bounds: Partial<Pick<RunLedgerOptions, 'signal' | 'once'>>): RunLedger {
    return new RunLedger({ ...this.#o, ...bounds }, this.numbers);
  }

  async read<T>(task: (database: Queryable) => Promise<T>): Promise<T> {
    return this.#retried(async () => task(this.#o.database));
  }

  /** One transaction that commits only under the job's lease. Throws LeaseLostError. */
  async commit<T>(
    task: (client: ClientForCopy) => Promise<T>,
    o: {
      /** For the log. */
      chunk?: number;
      /** Around each attempt, to measure it. */
      around?: (attempt: () => Promise<T>) => Promise<T>;
    } = {},
  ): Promise<T> {
    const attempt = async (): Promise<T> => underLease(this.#o.database, this.#o, task);
    return this.#retried(async () => (o.around ? o.around(attempt) : attempt()), o);
  }

  /**
   * One transaction fenced by the chunk's own row, because many chunks commit at once; `attempt` is the number of the
   * attempt at the chunk. Throws LeaseLostError.
   */
  async commitChunk<T>(chunk: number, task: (client: ClientForCopy, attempt: number) => Promise<T>): Promise<T> {
    return this.#retried(
      async () =>
        this.#o.database.withTransaction(async (client) => task(client, await fenceChunk(client, chunk, this.#o))),
      { chunk },
    );
  }

  async #retried<T>(task: () => Promise<T>, { chunk }: { chunk?: number } = {}): Promise<T> {
    if (this.#o.once) return task();
    return withDatabaseRetry(task, { ...this.#o, ...(chunk !== undefined && { chunk }) });
  }
}
