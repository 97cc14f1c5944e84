import { setTimeout as sleep } from 'node:timers/promises';
import PQueue from 'p-queue';
import pg from 'pg';
import { UsageError } from '../../resilience/failure.ts';
import { Client, serverOf, socketOf, type ServerFacts } from './client.ts';
import { CommitInDoubtError, DatabaseError, databaseError, isConnectionFault } from './database-error.ts';

export { CommitInDoubtError, DatabaseError, DatabaseGoneError } from './database-error.ts';

/** The smallest interface to a database. Numbers beyond int4, dates and times are returned as text. */
export interface Queryable {
  query<Row extends pg.QueryResultRow = pg.QueryResultRow>(
    text: string,
    values?: unknown[],
  ): Promise<Pick<pg.QueryResult<Row>, 'rows' | 'rowCount' | 'fields'>>;
}

/** A lent client, which can also COPY. */
export type ClientForCopy = pg.ClientBase;

export interface DatabaseOptions {
  /** What pg connects with; nothing else holds the password. */
  config: pg.PoolConfig;
  /** For people, without a password: `PostgreSQL at db.example:5432/night as etl`. */
  description: string;
  applicationName?: string;
  connections?: number;
  /** Milliseconds without a byte in either direction after which a lent connection is closed. */
  silenceMs?: number;
  /** Called with errors of idle connections, which no caller would see. */
  onIdleError?: (error: Error) => void;
  /** Aborts the attempt to connect. */
  signal?: AbortSignal | undefined;
}

export interface LendOptions {
  /** Milliseconds; see DatabaseOptions. */
  silenceMs?: number;
  /** Served before all others that wait for a connection. */
  urgent?: boolean;
}

/**
 * Longer than any statement may take (below), and the only time limit on a network that drops bytes: TCP needs a quarter
 * of an hour to notice, and never notices a proxy that acknowledges what it does not forward.
 */
const silenceMs = 11 * 60_000;

/**
 * Set for each transaction, because behind PgBouncer a session is shared: output formats by which rows are compared and
 * digested, a COMMIT that survives a crash of the server, and time limits for every wait, also on the server, where the
 * locks of a vanished client would block the next attempt. The search path stays the user's: our names are all qualified,
 * those in their triggers may not be.
 */
const transactionSettings = `
  SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off';
  SET LOCAL lock_timeout = '5s';
  SET LOCAL statement_timeout = '10min';
  SET LOCAL idle_in_transaction_session_timeout = '1min';
  SET LOCAL tcp_keepalives_idle = 10;
  SET LOCAL tcp_keepalives_interval = 5;
  SET LOCAL tcp_keepalives_count = 4;
  SET LOCAL TimeZone = 'UTC';
  SET LOCAL DateStyle = 'ISO, YMD';
  SET LOCAL IntervalStyle = 'postgres';
  SET LOCAL extra_float_digits = 1;
  SET LOCAL bytea_output = 'hex';
  SET LOCAL standard_conforming_strings = on`;

// Only bool, int2, int4, float8 and json are parsed; every other type stays text, so that no digit is lost.
const readTypes = new Set<number>([pg.types.builtins.BOOL, pg.types.builtins.INT2, pg.types.builtins.INT4]);
const arrayOfText = 1009;
const types: pg.CustomTypesConfig = {
  getTypeParser: ((id: number, format?: 'text' | 'binary') =>
    readTypes.has(id) ||
    id === arrayOfText ||
    id === pg.types.builtins.JSON ||
    id === pg.types.builtins.JSONB ||
    id === pg.types.builtins.FLOAT8
      ? (pg.types.getTypeParser as (id: number, format?: string) => unknown)(id, format)
      : (text: string) => text) as pg.CustomTypesConfig['getTypeParser'],
};

/**
 * Under a stricter level a statement fails (40001) where it meets a row that another transaction has just changed, as the
 * lease's heartbeat does; under this one it reads the row again. Not READ WRITE: a standby would refuse the BEGIN itself.
 */
const begin = 'BEGIN ISOLATION LEVEL READ COMMITTED';

/** A pool of connections to one database, which lends clients and transactions. */
export class Database implements AsyncDisposable, Queryable {
  readonly description: string;
  /** For example 180004. */
  readonly serverVersion: number;
  /** True for a standby, and where the role or the database makes transactions read-only. */
  readonly readOnly: boolean;
  readonly #pool: pg.Pool;
  // Queues callers without a time limit; pg-pool's connect timeout would also cover the wait for a free client.
  readonly #lending: PQueue;
  readonly #clients = new Set<pg.PoolClient>();
  readonly #silenceMs: number;
  readonly #readsCommitted: boolean;

  private constructor(pool: pg.Pool, o: ServerFacts & { description: string; silenceMs: number }) {
    this.#pool = pool;
    this.#lending = new PQueue({ concurrency: pool.options.max });
    this.#silenceMs = o.silenceMs;
    this.description = o.description;
    this.serverVersion = o.serverVersion;
    this.readOnly = o.readOnly;
    this.#readsCommitted = o.defaultIsolation === 'read committed';
    pool.on('connect', (client) => this.#clients.add(client));
    pool.on('remove', (client) => this.#clients.delete(client));
  }

  /** Connects once, so that a wrong address or password fails before anything starts. Throws UsageError. */
  static async open({ description, connections = 8, ...options }: DatabaseOptions): Promise<Database> {
    const config: pg.PoolConfig = {
      connectionTimeoutMillis: 10_000,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
      ...options.config,
      types,
      application_name: options.applicationName ?? 'nightfill',
    };
    const facts = await serverOf(config, { description, signal: options.signal });
    if (facts.serverVersion < 140_000)
      throw new UsageError(
        `${description} is version ${Math.floor(facts.serverVersion / 10_000)}; Nightfill needs PostgreSQL 14 or newer`,
        { code: 'DATABASE_TOO_OLD' },
      );
    const pool = new pg.Pool({ ...config, max: connections, Client });
    // A server that stops while the pool is being closed is no fault.
    pool.on('error', (error) => (pool.ending ? undefined : options.onIdleError?.(error)));
    return new Database(pool, { description, ...facts, silenceMs: options.silenceMs ?? silenceMs });
  }

  /** Throws UsageError when the database is read-only. */
  requireWritable(): void {
    if (!this.readOnly) return;
    throw new UsageError(
      `${this.description} is read-only, because it is a standby or default_transaction_read_only is set for this user or database; name the primary instead`,
      { code: 'DATABASE_READ_ONLY' },
    );
  }

  /** Runs a single statement, at READ COMMITTED like every transaction here. */
  async query<Row extends pg.QueryResultRow>(text: string, values?: unknown[], o?: LendOptions) {
    const task = async (client: ClientForCopy): Promise<pg.QueryResult<Row>> => client.query<Row>(text, values);
    // Not set for the session: with PgBouncer it would persist on a connection that others use next.
    return this.#readsCommitted ? this.withClient(task, o) : this.#commit(task, { ...o, settings: '' });
  }

  /** Lends a client; a client left in a transaction or with a failed connection is closed rather than reused. */
  async withClient<T>(task: (client: ClientForCopy) => Promise<T>, o: LendOptions = {}): Promise<T> {
    return this.#lendInTurn(task, { ...o, attempt: 1 });
  }

  async #lendInTurn<T>(task: (client: ClientForCopy) => Promise<T>, o: LendOptions & { attempt: number }): Promise<T> {
    try {
      return await this.#lending.add(async () => this.#lend(task, o), { priority: o.urgent ? 1 : 0 });
    } catch (error) {
      if (!(error instanceof ConnectionLimitError)) throw error;
      // One of our connections may be closing right now; without any of our own none will be returned to us.
      if (this.#clients.size === 0 && o.attempt >= 5) throw error.cause;
      this.#limitConnections(Math.max(1, this.#clients.size));
      if (this.#clients.size === 0) await sleep(100 * o.attempt);
      return this.#lendInTurn(task, { ...o, attempt: o.attempt + 1 });
    }
  }

  /** Lends fewer at once for 30 s, because the server or this role has no more connections left. */
  #limitConnections(connections: number): void {
    this.#lending.concurrency = Math.min(this.#lending.concurrency, connections);
    setTimeout(() => (this.#lending.concurrency = this.#pool.options.max), 30_000).unref();
  }

  async #lend<T>(task: (client: ClientForCopy) => Promise<T>, o: LendOptions): Promise<T> {
    let client: pg.PoolClient;
    try {
      client = await this.#pool.connect();
    } catch (error) {
      const known = databaseError(error);
      throw known instanceof DatabaseError && known.isConnectionLimit ? new ConnectionLimitError(known) : known;
    }
    const { silenceMs = this.#silenceMs } = o;
    const socket = socketOf(client);
    const abort = (): void =>
      void socket.destroy(new Error(`Connection terminated: no data for ${silenceMs / 1_000} s`));
    socket.setTimeout(silenceMs, abort);
    let broken: Error | undefined;
    const noteError = (error: Error): void => void (broken ??= error);
    // pg-pool removes its own listener from a lent client; an unhandled error event would end the process.
    client.on('error', noteError);
    try {
      return await task(client);
    } catch (error) {
      const known = databaseError(error);
      // A read-only connection stays read-only; a new one may reach the primary.
      const isReadOnly = known instanceof DatabaseError && known.sqlState === '25006';
      if (isReadOnly || isConnectionFault(error)) broken ??= error as Error;
      throw known;
    } finally {
      client.off('error', noteError);
      socket.setTimeout(0, abort);
      client.release(broken ?? isInTransaction(client));
    }
  }

  /** Lends a client within a transaction, committed when the task resolves. Throws CommitInDoubtError. */
  async withTransaction<T>(task: (client: ClientForCopy) => Promise<T>, o: LendOptions = {}): Promise<T> {
    return this.#commit(task, { ...o, settings: transactionSettings });
  }

  async #commit<T>(
    task: (client: ClientForCopy) => Promise<T>,
    { settings, ...o }: LendOptions & { settings: string },
  ): Promise<T> {
    return this.withClient(async (client) => {
      await client.query(`${begin};${settings}`);
      let result: T;
      try {
        result = await task(client);
      } catch (error) {
        // Rethrow the task's error: ROLLBACK may fail on a dead connection, which has rolled back anyway.
        await client.query('ROLLBACK').catch(() => undefined);
        throw error;
      }
      let committed: pg.QueryResult;
      try {
        committed = await client.query('COMMIT');
      } catch (error) {
        // PgBouncer reports a lost server with a SQLSTATE of class 08.
        throw isConnectionFault(error) || /^(08|57P0)/.test(String((error as { code?: unknown }).code))
          ? new CommitInDoubtError(error)
          : error;
      }
      // After an ignored error in the transaction Postgres answers COMMIT with ROLLBACK, without an error.
      if (committed.command !== 'COMMIT')
        throw new DatabaseError({
          code: 'PG_NOT_COMMITTED',
          class: 'system',
          message: `Postgres answered COMMIT with ${committed.command}: a statement of the transaction had failed and its error was ignored`,
          cause: undefined,
        });
      return result;
    }, o);
  }

  /** Closes every connection at once, busy ones too; later work gets new ones. */
  cut(): void {
    for (const client of this.#clients) socketOf(client).destroy();
  }

  async close(): Promise<void> {
    if (!this.#pool.ended) await this.#pool.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** The server refuses more connections: wait for one of ours. */
class ConnectionLimitError extends Error {
  override readonly cause: DatabaseError;

  constructor(cause: DatabaseError) {
    super(cause.message);
    this.cause = cause;
  }
}

const isInTransaction = (client: pg.PoolClient): boolean =>
  (client as { getTransactionStatus?: () => string | null }).getTransactionStatus?.() !== 'I';
