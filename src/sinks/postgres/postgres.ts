import { setTimeout as sleep } from 'node:timers/promises';
import PQueue from 'p-queue';
import pg from 'pg';
import { UsageError } from '../../resilience/failure.ts';
import { Client, serverOf, socketOf, type ServerFacts } from './client.ts';
import { CommitInDoubtError, DatabaseError, databaseError, isConnectionFault } from './database-error.ts';

export { CommitInDoubtError, DatabaseError, DatabaseGoneError } from './database-error.ts';

/** The one thing most code needs of a database. Numbers beyond int4, dates and times come back as their text. */
export interface Queryable {
  query<Row extends pg.QueryResultRow = pg.QueryResultRow>(
    text: string,
    values?: unknown[],
  ): Promise<Pick<pg.QueryResult<Row>, 'rows' | 'rowCount' | 'fields'>>;
}

/** A lent client, good for COPY. */
export type ClientForCopy = pg.ClientBase;

export interface DatabaseOptions {
  /** What pg connects with; the password stands nowhere else. */
  config: pg.PoolConfig;
  /** For people, without a password: `PostgreSQL at db.example:5432/night as etl`. */
  description: string;
  applicationName?: string;
  connections?: number;
  /** Milliseconds after which a lent connection that passes nothing either way is given up. */
  silenceMs?: number;
  /** Told of faults on idle connections, which nobody else hears of. */
  onIdleError?: (error: Error) => void;
  /** Ends the attempt to connect. */
  signal?: AbortSignal | undefined;
}

export interface LendOptions {
  /** Milliseconds; see DatabaseOptions. */
  silenceMs?: number;
  /** Before all others that wait for a connection. */
  urgent?: boolean;
}

/**
 * Longer than any statement may take (below), and the only bound of a network that swallows bytes: TCP takes a quarter
 * of an hour to notice, and never does where something in between acknowledges what it does not pass on.
 */
const silenceMs = 11 * 60_000;

/**
 * Pinned for each transaction, since behind PgBouncer a session is not ours: formats by which rows are compared and
 * digested, a COMMIT that a crash of the server does not take back, and ends to every wait: the server's too, for a client that vanished, as its locks keep the next attempt out. The search path stays the user's: our own names are all qualified, their triggers' may not be.
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

// bool, int2, int4 and json are read; every other type stays the text Postgres sent, so no digit is lost.
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
  /** A standby, or a role or database whose transactions are read-only. */
  readonly readOnly: boolean;
  readonly #pool: pg.Pool;
  // Waiting for a free client has no bound of its own, unlike pg-pool's, whose connect timeout covers that wait too.
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

  /** Connects once, so that a wrong address or password is known before anything is begun. Throws UsageError. */
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
    pool.on('error', (error) => options.onIdleError?.(error));
    return new Database(pool, { description, ...facts, silenceMs: options.silenceMs ?? silenceMs });
  }

  /** Throws UsageError when nothing can be written here. */
  requireWritable(): void {
    if (!this.readOnly) return;
    throw new UsageError(
      `${this.description} is read-only: a standby, or default_transaction_read_only is set for this user or database; name the primary instead`,
      { code: 'DATABASE_READ_ONLY' },
    );
  }

  /** A statement by itself, read committed as any transaction here. */
  async query<Row extends pg.QueryResultRow>(text: string, values?: unknown[], o?: LendOptions) {
    const task = async (client: ClientForCopy): Promise<pg.QueryResult<Row>> => client.query<Row>(text, values);
    // Set for the session, the level would stay behind with PgBouncer's connection, which others use next.
    return this.#readsCommitted ? this.withClient(task, o) : this.#commit(task, { ...o, settings: '' });
  }

  /** Lends a client; it is closed rather than reused when it is left in a transaction or its connection failed. */
  async withClient<T>(task: (client: ClientForCopy) => Promise<T>, o: LendOptions = {}): Promise<T> {
    return this.#lendInTurn(task, { ...o, attempt: 1 });
  }

  async #lendInTurn<T>(task: (client: ClientForCopy) => Promise<T>, o: LendOptions & { attempt: number }): Promise<T> {
    try {
      return await this.#lending.add(async () => this.#lend(task, o), { priority: o.urgent ? 1 : 0 });
    } catch (error) {
      if (!(error instanceof NoConnectionLeft)) throw error;
      // A connection of our own may just be going; with none of ours nothing will be given back to us.
      if (this.#clients.size === 0 && o.attempt >= 5) throw error.cause;
      this.#makeDoWith(Math.max(1, this.#clients.size));
      if (this.#clients.size === 0) await sleep(100 * o.attempt);
      return this.#lendInTurn(task, { ...o, attempt: o.attempt + 1 });
    }
  }

  /** Lends fewer at once for a while: the server, or this role, has no more connections left. */
  #makeDoWith(connections: number): void {
    this.#lending.concurrency = Math.min(this.#lending.concurrency, connections);
    setTimeout(() => (this.#lending.concurrency = this.#pool.options.max), 30_000).unref();
  }

  async #lend<T>(task: (client: ClientForCopy) => Promise<T>, o: LendOptions): Promise<T> {
    let client: pg.PoolClient;
    try {
      client = await this.#pool.connect();
    } catch (error) {
      const known = databaseError(error);
      throw known instanceof DatabaseError && known.isConnectionLimit ? new NoConnectionLeft(known) : known;
    }
    const { silenceMs = this.#silenceMs } = o;
    const socket = socketOf(client);
    const giveUp = (): void =>
      void socket.destroy(new Error(`Connection terminated: no data for ${silenceMs / 1_000} s`));
    socket.setTimeout(silenceMs, giveUp);
    let lost: Error | undefined;
    const noteLoss = (error: Error): void => void (lost ??= error);
    // pg-pool takes its own listener off a lent client; without one a lost connection would end the process.
    client.on('error', noteLoss);
    try {
      return await task(client);
    } catch (error) {
      const known = databaseError(error);
      // One that is read-only stays so: the next connection may lead to the primary.
      const useless = known instanceof DatabaseError && known.sqlState === '25006';
      if (useless || isConnectionFault(error)) lost ??= error as Error;
      throw known;
    } finally {
      client.off('error', noteLoss);
      socket.setTimeout(0, giveUp);
      client.release(lost ?? isInTransaction(client));
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
        // What went wrong is the news; a connection that is gone has rolled back by itself.
        await client.query('ROLLBACK').catch(() => undefined);
        throw error;
      }
      let committed: pg.QueryResult;
      try {
        committed = await client.query('COMMIT');
      } catch (error) {
        // PgBouncer tells of a server that it lost by a SQLSTATE of class 08.
        throw isConnectionFault(error) || /^(08|57P0)/.test(String((error as { code?: unknown }).code))
          ? new CommitInDoubtError(error)
          : error;
      }
      // A transaction in which a failed statement was overlooked answers COMMIT with ROLLBACK, and no error.
      if (committed.command !== 'COMMIT')
        throw new DatabaseError({
          code: 'PG_NOT_COMMITTED',
          class: 'system',
          message: `Postgres answered COMMIT with ${committed.command}: a statement of the transaction had failed unnoticed`,
          cause: undefined,
        });
      return result;
    }, o);
  }

  /** Closes every connection at once, those at work too; later work gets new ones. */
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

/** The server has none to give: one of ours that comes back will do. */
class NoConnectionLeft extends Error {
  override readonly cause: DatabaseError;

  constructor(cause: DatabaseError) {
    super(cause.message);
    this.cause = cause;
  }
}

const isInTransaction = (client: pg.PoolClient): boolean =>
  (client as { getTransactionStatus?: () => string | null }).getTransactionStatus?.() !== 'I';
