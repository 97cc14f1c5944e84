import { NightfillError, type FailureClass } from '../../resilience/failure.ts';

/** An error of Postgres or of the connection to it; without `sqlState` the connection itself failed. */
export class DatabaseError extends NightfillError {
  readonly sqlState: string | undefined;

  constructor(o: {
    code: string;
    class: FailureClass;
    message: string;
    sqlState?: string | undefined;
    cause: unknown;
  }) {
    super(o);
    this.sqlState = o.sqlState;
  }

  /** Whether no connection is left; PgBouncer has no SQLSTATE of its own for that. */
  get isConnectionLimit(): boolean {
    return this.sqlState === '53300' || (this.sqlState === '08P01' && /no more connections allowed/.test(this.message));
  }

  /** Whether the same statement may succeed later. */
  get isRetryable(): boolean {
    return this.sqlState === undefined ? this.class === 'transient' : retryableStates.test(this.sqlState);
  }

  /** Whether every other statement would fail too, so that no chunk is to blame. */
  get isOfWholeDatabase(): boolean {
    return this.sqlState === undefined ? this.class === 'transient' : databaseStates.test(this.sqlState);
  }
}

/** The connection was lost while COMMIT was under way: the transaction may or may not have been committed. */
export class CommitInDoubtError extends NightfillError {
  constructor(cause: unknown) {
    super({
      code: 'COMMIT_IN_DOUBT',
      class: 'transient',
      message: 'the connection was lost during COMMIT; it is not known yet whether the transaction was committed',
      cause,
    });
  }
}

/** Postgres was unusable for longer than a run waits, or refuses it for good: nothing more can be committed. */
export class DatabaseGoneError extends NightfillError {
  constructor(cause: Error, { waitedMs }: { waitedMs: number }) {
    const seconds = Math.round(waitedMs / 1_000);
    const waited = seconds > 0 ? ` Gave up after ${seconds} s.` : '';
    super({
      code: 'DATABASE_GONE',
      class: 'system',
      message: `${withoutFullStop(cause.message)}.${waited} The run ends; committed work is kept, and the same command continues from there`,
      cause,
    });
  }
}

/**
 * SQLSTATE classes and what they mean for the next attempt.
 * Source: PostgreSQL manual, appendix A.
 */
const transientStates = /^(08|53|40001|40P01|55P03|57014|57P0[1235]|25P0[34])/;
const configStates = /^(28|3D|3F|42|25006|0A|57P04|F0)/;
// Cardinality, data exception, integrity constraint, (external) routine, WITH CHECK OPTION, program limit (an index entry
// too large), and what a trigger raises.
const dataStates = /^(21|22|23|38|39|44|54|P0)/;

/** Besides the transient ones: an I/O error of the storage, and a standby that is becoming, or was, the primary. */
const retryableStates = new RegExp(`${transientStates.source}|^(58|25006)`);
/** Connections, storage, memory, credentials, damaged pages. Not locks and time limits, which concern single chunks. */
const databaseStates = /^(08|25006|28|3D|53|57P0|58|F0|XX00[12])/;

const connectionFaults =
  /Connection terminated|Client has encountered a connection error|timeout expired|Connection ended/i;
const networkCodes = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
]);

/** Translates errors of pg, once, at this boundary; returns any other error unchanged. */
export function databaseError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof NightfillError) return error;
  const { code } = error as { code?: unknown };
  if (typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && 'severity' in error)
    return new DatabaseError({
      code: `PG_${code}`,
      class: classOf(code),
      message: `Postgres: ${error.message}${detailOf(error)}`,
      sqlState: code,
      cause: error,
    });
  if (isConnectionFault(error))
    return new DatabaseError({
      code: 'PG_CONNECTION',
      class: 'transient',
      message: `the connection to Postgres was lost or refused: ${error.message || String(code)}`,
      cause: error,
    });
  return error;
}

export function isConnectionFault(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code } = error as { code?: unknown };
  return (typeof code === 'string' && networkCodes.has(code)) || connectionFaults.test(error.message);
}

/** Whether a row is to blame for a statement that failed with this SQLSTATE. */
export const isDataState = (state: string): boolean => dataStates.test(state);

const classOf = (state: string): FailureClass =>
  transientStates.test(state)
    ? 'transient'
    : configStates.test(state)
      ? 'config'
      : isDataState(state)
        ? 'data'
        : 'system';

const detailOf = (error: Error & { detail?: string; hint?: string }): string =>
  [error.detail, error.hint]
    .filter(Boolean)
    .map((text) => `; ${withoutFullStop(text!)}`)
    .join('');

/** Postgres writes a detail and a hint as sentences; within our sentence a full stop would end it too early. */
const withoutFullStop = (text: string): string => text.replace(/\.\s*$/, '');
