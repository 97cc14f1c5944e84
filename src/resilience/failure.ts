/**
 * The kind of cause, and so what or who can fix it:
 * `transient` time, `config` the engineer, `data` the owner of the record, `system` the operator of this machine.
 */
export const failureClasses = ['transient', 'config', 'data', 'system'] as const;
export type FailureClass = (typeof failureClasses)[number];

export interface FailureFacts {
  /** Stable, UPPER_SNAKE_CASE; users' scripts depend on it. */
  code: string;
  class: FailureClass;
  /** What was expected, what happened instead, what to do; understandable without the code. Never contains a secret. */
  message: string;
  cause?: unknown;
}

/** An error with a stable code. The base class of all errors that Nightfill throws itself. */
export class NightfillError extends Error {
  readonly code: string;
  readonly class: FailureClass;

  constructor({ code, class: failureClass, message, cause }: FailureFacts) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.code = code;
    this.class = failureClass;
  }
}

/** Whether time may fix it: true for every error except a NightfillError of another class. */
export function isTransient(error: unknown): boolean {
  return !(error instanceof NightfillError) || error.class === 'transient';
}

/** A mistake of the user (arguments, job file, credentials, database address): shown without a stack trace, exit code 2. */
export class UsageError extends NightfillError {
  constructor(message: string, { code = 'USAGE', cause }: { code?: string; cause?: unknown } = {}) {
    super({ code, class: 'config', message, cause });
  }
}
