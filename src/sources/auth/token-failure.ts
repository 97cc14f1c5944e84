import { type FailureFacts, NightfillError } from '../../resilience/failure.ts';

/**
 * Why a token request failed: `refused` is final; `busy` is temporary; `odd` is an answer no token server should give,
 * which may be temporary or may come from a wrong address.
 */
type TokenFailureKind = 'refused' | 'busy' | 'odd';

export class TokenFailure extends NightfillError {
  readonly kind: TokenFailureKind;
  /** Milliseconds the token server asked to wait. */
  readonly wait: number | undefined;

  constructor({ kind, wait, ...facts }: FailureFacts & { kind: TokenFailureKind; wait?: number | undefined }) {
    super(facts);
    this.kind = kind;
    this.wait = wait;
  }
}

/** No token is available before `retryAt`, which is later than the caller can wait. `cause` says why. */
export class TokenRestsError extends NightfillError {
  /** The reason, as part of a sentence. */
  readonly because: string;
  /** Epoch milliseconds: the earliest time of another attempt. */
  readonly retryAt: number;

  constructor({ retryAt, cause }: { retryAt: number; cause: NightfillError }) {
    super({
      code: 'TOKEN_UNAVAILABLE',
      class: 'transient',
      message: `${cause.message}; the next attempt is at ${new Date(retryAt).toISOString()}, later than this request can wait`,
      cause,
    });
    this.because = cause.message;
    this.retryAt = retryAt;
  }
}
