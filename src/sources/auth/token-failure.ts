import { type FailureFacts, NightfillError } from '../../resilience/failure.ts';

/**
 * Why a request for a token brought none: `refused` is the token server's last word; `busy` passes with time; `odd` is
 * something no token server should say, which may pass, and which a wrong address says for ever.
 */
export type TokenFailureKind = 'refused' | 'busy' | 'odd';

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

/** No token can be had before `retryAt`, which is later than whoever asks can wait. `cause` says why. */
export class TokenRestsError extends NightfillError {
  /** Why, as a part of a sentence. */
  readonly because: string;
  /** Epoch milliseconds: the earliest time another try makes sense. */
  readonly retryAt: number;

  constructor({ retryAt, cause }: { retryAt: number; cause: NightfillError }) {
    super({
      code: 'TOKEN_UNAVAILABLE',
      class: 'transient',
      message: `${cause.message}; it is asked again at ${new Date(retryAt).toISOString()}, which is later than this request may wait`,
      cause,
    });
    this.because = cause.message;
    this.retryAt = retryAt;
  }
}
