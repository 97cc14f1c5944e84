import { NightfillError, type FailureClass } from '../resilience/failure.ts';

/** What Postgres, or the way to it, answered; `sqlState` is absent when the connection itself failed. */
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
}

/** The connection was lost while COMMIT was under way: the transaction may or may not have been committed. */
export class CommitInDoubtError extends NightfillError {
  constructor(cause: unknown) {
    super({
      code: 'COMMIT_IN_DOUBT',
      class: 'transient',
      message: 'the connection was lost while a transaction was being committed; whether it was is not known yet',
      cause,
    });
  }
}

/**
 * SQLSTATE classes and what they mean for the next attempt.
 * Source: PostgreSQL manual, appendix A.
 */
const transientStates = /^(08|53|40001|40P01|55P03|57014|57P0[1-5]|25P0[34])/;
const configStates = /^(28|3D|3F|42|25006|0A)/;
const dataStates = /^(21|22|23)/;

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

/** Translates what pg throws, once, at this border; everything else passes through. */
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

const classOf = (state: string): FailureClass =>
  transientStates.test(state)
    ? 'transient'
    : configStates.test(state)
      ? 'config'
      : dataStates.test(state)
        ? 'data'
        : 'system';

const detailOf = (error: Error & { detail?: string; hint?: string }): string =>
  [error.detail, error.hint]
    .filter(Boolean)
    .map((text) => `; ${text}`)
    .join('');
