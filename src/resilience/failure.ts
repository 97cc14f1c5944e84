/**
 * What kind of cause a failure has, and so who can mend it:
 * `transient` time does, `config` the engineer, `data` the owner of the record, `system` the operator of this machine.
 */
export const failureClasses = ['transient', 'config', 'data', 'system'] as const;
export type FailureClass = (typeof failureClasses)[number];

export interface FailureFacts {
  /** Stable, UPPER_SNAKE_CASE; users script against it. */
  code: string;
  class: FailureClass;
  /** A sentence a stranger understands: what was expected, what came, what to do. Never holds a secret. */
  message: string;
  cause?: unknown;
}

/** An error with a stable code. The base of everything Nightfill throws on purpose. */
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

/** The user's own mistake (arguments, job file, credentials, database address): shown as a sentence, exit code 2. */
export class UsageError extends NightfillError {
  constructor(message: string, { code = 'USAGE', cause }: { code?: string; cause?: unknown } = {}) {
    super({ code, class: 'config', message, cause });
  }
}
