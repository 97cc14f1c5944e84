import { UsageError } from '../../resilience/failure.ts';
import { isConnectionFault } from './database-error.ts';

/** A database that cannot be connected to, with the reason as a sentence that holds no password. */
export class DatabaseUnreachableError extends UsageError {
  /** Whether a later attempt may succeed: the server is not up yet, or has no connection left. */
  readonly isRetryable: boolean;

  constructor(message: string, { cause, isRetryable }: { cause: unknown; isRetryable: boolean }) {
    super(message, { code: 'DATABASE_UNREACHABLE', cause });
    this.isRetryable = isRetryable;
  }

  /** The same error after waiting. */
  after(waitedMs: number): DatabaseUnreachableError {
    const seconds = Math.max(1, Math.round(waitedMs / 1_000));
    return new DatabaseUnreachableError(`${this.message}. Gave up after ${seconds} s (--database-wait)`, {
      cause: this.cause,
      isRetryable: this.isRetryable,
    });
  }
}

/** Not 08P01, with which PgBouncer also refuses a wrong password or an unknown option. */
const retryableStates = /^(?:08(?!P01)|53|57P0[1235])/;
const retryableAtPgBouncer =
  /no more connections allowed|server login has been failing|cannot connect|shutting down|query_wait_timeout/i;

function isRetryable(error: unknown): boolean {
  const { code = '', message } = error as { code?: string; message: string };
  if (code === '08P01') return retryableAtPgBouncer.test(message);
  return code === 'ENOENT' || retryableStates.test(code) || isConnectionFault(error);
}

/** The error of a failed attempt to connect, with its reason as a sentence. */
export function cannotConnect(error: unknown, description: string): DatabaseUnreachableError {
  const { code, message } = error as { code?: string; message: string };
  const reasons: [RegExp, string][] = [
    [/^ECONNREFUSED/, 'nothing listens there; is the server up, and are host and port right'],
    [/^ENOENT/, 'there is no such socket; is the server up, and is the folder right'],
    [/^ENOTFOUND/, 'the host name is unknown'],
    [/^EAI_AGAIN/, 'the host name cannot be looked up'],
    [/^ETIMEDOUT|timeout expired/, 'the server did not answer in time'],
    [/^(EHOSTUNREACH|ENETUNREACH)/, 'the host cannot be reached'],
    [/^28P01/, 'the user or the password is wrong'],
    [/^28000/, `the server refuses this user (${message})`],
    [/^3D000/, 'the database does not exist'],
    [
      /^53300/,
      `no connection is left for this role (${message}); wait for others to end, or raise max_connections or the role's CONNECTION LIMIT`,
    ],
    [/no more connections allowed/, 'PgBouncer has no connection left for clients (max_client_conn)'],
    [
      /unsupported startup parameter: options/,
      'PgBouncer takes no options at the start; leave options and PGOPTIONS out, or name options in its ignore_startup_parameters',
    ],
    [/^57P03/, 'the server is starting up or shutting down'],
    [/client password must be a string/, 'the server asks for a password, but none is set'],
    [/does not support SSL/, 'the server does not offer encryption, which sslmode asks for'],
    [/^(CERT_|ERR_TLS_CERT|.*SIGNED_CERT|UNABLE_TO_)/, `the server's certificate is not trusted (${message})`],
  ];
  const [, reason = message] = reasons.find(([pattern]) => pattern.test(`${code ?? ''} ${message}`)) ?? [];
  return new DatabaseUnreachableError(`cannot connect to ${description}: ${reason}`, {
    cause: error,
    isRetryable: isRetryable(error),
  });
}
