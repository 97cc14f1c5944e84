import PQueue from 'p-queue';
import pg from 'pg';
import { UsageError } from '../resilience/failure.ts';
import { CommitInDoubtError, DatabaseError, databaseError, isConnectionFault } from './database-error.ts';

export { CommitInDoubtError, DatabaseError } from './database-error.ts';

/** The one thing most code needs of a database. Numbers beyond int4, dates and times come back as their text. */
export interface Queryable {
  query<Row extends pg.QueryResultRow = pg.QueryResultRow>(
    text: string,
    values?: unknown[],
  ): Promise<{ rows: Row[]; rowCount: number | null }>;
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
  /** Told of faults on idle connections, which nobody else hears of. */
  onIdleError?: (error: Error) => void;
}

/**
 * Pinned for each transaction, since behind PgBouncer a session is not ours: formats by which rows are compared and
 * digested, and ends to every wait. The search path stays the user's: our own names are all qualified, their triggers' may not be.
 */
const transactionSettings = `
  SET LOCAL lock_timeout = '5s';
  SET LOCAL statement_timeout = '10min';
  SET LOCAL idle_in_transaction_session_timeout = '2min';
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

/** A pool of connections to one database, which lends clients and transactions. */
export class Database implements AsyncDisposable, Queryable {
  readonly description: string;
  /** For example 180004. */
  readonly serverVersion: number;
  readonly #pool: pg.Pool;
  // Waiting for a free client has no bound of its own, unlike pg-pool's, whose connect timeout covers that wait too.
  readonly #lending: PQueue;

  private constructor(pool: pg.Pool, { description, serverVersion }: { description: string; serverVersion: number }) {
    this.#pool = pool;
    this.#lending = new PQueue({ concurrency: pool.options.max });
    this.description = description;
    this.serverVersion = serverVersion;
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
    const serverVersion = await versionOf(config, description);
    if (serverVersion < 140_000)
      throw new UsageError(
        `${description} is version ${Math.floor(serverVersion / 10_000)}; Nightfill needs PostgreSQL 14 or newer`,
        { code: 'DATABASE_TOO_OLD' },
      );
    const pool = new pg.Pool({ ...config, max: connections });
    pool.on('error', (error) => options.onIdleError?.(error));
    return new Database(pool, { description, serverVersion });
  }

  async query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]) {
    return this.withClient(async (client) => client.query<Row>(text, values));
  }

  /** Lends a client; it is closed rather than reused when it is left in a transaction or its connection failed. */
  async withClient<T>(task: (client: ClientForCopy) => Promise<T>): Promise<T> {
    return this.#lending.add(async () => this.#lend(task));
  }

  async #lend<T>(task: (client: ClientForCopy) => Promise<T>): Promise<T> {
    let client: pg.PoolClient;
    try {
      client = await this.#pool.connect();
    } catch (error) {
      throw databaseError(error);
    }
    let lost: Error | undefined;
    const noteLoss = (error: Error): void => void (lost ??= error);
    // pg-pool takes its own listener off a lent client; without one a lost connection would end the process.
    client.on('error', noteLoss);
    try {
      return await task(client);
    } catch (error) {
      if (isConnectionFault(error)) lost ??= error as Error;
      throw databaseError(error);
    } finally {
      client.off('error', noteLoss);
      client.release(lost ?? isInTransaction(client));
    }
  }

  /** Lends a client within a transaction, committed when the task resolves. Throws CommitInDoubtError. */
  async withTransaction<T>(task: (client: ClientForCopy) => Promise<T>): Promise<T> {
    return this.withClient(async (client) => {
      await client.query(`BEGIN;${transactionSettings}`);
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
        throw isConnectionFault(error) || String((error as { code?: unknown }).code).startsWith('57P0')
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
    });
  }

  async close(): Promise<void> {
    if (!this.#pool.ended) await this.#pool.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

const isInTransaction = (client: pg.PoolClient): boolean =>
  (client as { getTransactionStatus?: () => string | null }).getTransactionStatus?.() !== 'I';

/** Asked by a client of its own: when a password is missing, pg's pool would forget its client and leave the socket open. */
async function versionOf(config: pg.ClientConfig, description: string): Promise<number> {
  const client = new pg.Client(config);
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ version: number }>(
      `SELECT current_setting('server_version_num')::integer AS version`,
    );
    return rows[0]!.version;
  } catch (error) {
    throw cannotConnect(error, description);
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** Why a database cannot be used, as a sentence that holds no password. */
function cannotConnect(error: unknown, description: string): UsageError {
  const { code, message } = error as { code?: string; message: string };
  const reasons: [RegExp, string][] = [
    [/^ECONNREFUSED/, 'nothing listens there; is the server up, and are host and port right'],
    [/^ENOENT/, 'there is no such socket; is the server up, and is the folder right'],
    [/^ENOTFOUND/, 'the host name is not known'],
    [/^EAI_AGAIN/, 'the host name cannot be looked up'],
    [/^ETIMEDOUT|timeout expired/, 'no answer came in time'],
    [/^(EHOSTUNREACH|ENETUNREACH)/, 'the host cannot be reached'],
    [/^28P01/, 'the user or the password is wrong'],
    [/^28000/, `the server refuses this user (${message})`],
    [/^3D000/, 'the database does not exist'],
    [/^53300/, 'the server has no connection left'],
    [/^57P03/, 'the server is starting up or shutting down'],
    [/client password must be a string/, 'the server asks for a password, and none was given'],
    [/does not support SSL/, 'the server does not offer encryption, which sslmode asks for'],
    [/^(CERT_|ERR_TLS_CERT|.*SIGNED_CERT|UNABLE_TO_)/, `the server's certificate is not trusted (${message})`],
  ];
  const [, reason = message] = reasons.find(([pattern]) => pattern.test(`${code ?? ''} ${message}`)) ?? [];
  return new UsageError(`cannot connect to ${description}: ${reason}`, { code: 'DATABASE_UNREACHABLE', cause: error });
}
