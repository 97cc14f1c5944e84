import { NightfillError, type FailureFacts } from '../../resilience/failure.ts';

export interface RequestErrorFacts extends FailureFacts {
  api: string;
  attempts: number;
  httpStatus?: number | undefined;
  /** Epoch milliseconds before which asking again is pointless. */
  retryAt?: number | undefined;
  /** Milliseconds the server asked to wait. */
  wait?: number | undefined;
  retryable?: boolean;
  countsAgainstServer?: boolean;
  credentialsUseless?: boolean;
}

/** A request that ended without usable data, after all its attempts. */
export class RequestError extends NightfillError {
  readonly api: string;
  readonly attempts: number;
  readonly httpStatus?: number;
  /** Epoch milliseconds before which asking again is pointless. */
  readonly retryAt?: number;
  /** Milliseconds the server asked to wait. */
  readonly wait: number | undefined;
  /** Another attempt of the same request may succeed. */
  readonly retryable: boolean;
  /** The circuit breaker counts it: a timeout, a connection fault or a 5xx. */
  readonly countsAgainstServer: boolean;
  /** Between the request's first failure and its last the API answered others: so it was up. False for one that was not repeated. */
  answeredOthers = false;
  /** The credentials are refused as such, and not for this request alone: asking on is pointless, and may lock them. */
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

  /** The same failure with more to say, and over so many attempts. */
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
