import { NightfillError, type FailureFacts } from '../../resilience/failure.ts';

interface RequestErrorFacts extends FailureFacts {
  api: string;
  attempts: number;
  httpStatus?: number | undefined;
  /** Epoch milliseconds: the earliest time to try again. */
  retryAt?: number | undefined;
  /** Milliseconds the server asked to wait. */
  wait?: number | undefined;
  retryable?: boolean;
  countsAgainstServer?: boolean;
  credentialsUseless?: boolean;
}

/** A request that gave no usable data after all its attempts. */
export class RequestError extends NightfillError {
  readonly api: string;
  readonly attempts: number;
  readonly httpStatus?: number;
  /** Epoch milliseconds: the earliest time to try again. */
  readonly retryAt?: number;
  /** Milliseconds the server asked to wait. */
  readonly wait: number | undefined;
  /** Another attempt may succeed. */
  readonly retryable: boolean;
  /** The circuit breaker counts it as a failure: a timeout, a connection fault or a 5xx. */
  readonly countsAgainstServer: boolean;
  /** The API answered other requests between this request's first and last failure, so it was up. False without a repeat. */
  answeredOthers = false;
  /** The credentials themselves are refused, not only for this request; further requests are useless and may lock the account. */
  readonly credentialsUseless: boolean;

  constructor(facts: RequestErrorFacts) {
    super(facts);
    this.api = facts.api;
    this.attempts = facts.attempts;
    if (facts.httpStatus !== undefined) this.httpStatus = facts.httpStatus;
    if (facts.retryAt !== undefined) this.retryAt = facts.retryAt;
    this.wait = facts.wait;
    this.retryable = facts.retryable ?? false;
    this.countsAgainstServer = facts.countsAgainstServer ?? false;
    this.credentialsUseless = facts.credentialsUseless ?? false;
  }

  /** A copy with a note added to the message, and another number of attempts if given. */
  withNote(note: string, attempts = this.attempts): RequestError {
    const { api, code, httpStatus, retryAt, wait, retryable, countsAgainstServer, credentialsUseless } = this;
    return new RequestError({
      api,
      code,
      class: this.class,
      message: `${this.message}${note}`,
      attempts,
      httpStatus,
      retryAt,
      wait,
      retryable,
      countsAgainstServer,
      credentialsUseless,
      cause: this,
    });
  }
}
