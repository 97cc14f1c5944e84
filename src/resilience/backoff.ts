export const backoffs = ['exponential', 'linear', 'constant'] as const;
export type Backoff = (typeof backoffs)[number];

export interface BackoffOptions {
  backoff: Backoff;
  /** Milliseconds. */
  baseDelay: number;
  /** Milliseconds; no delay is longer. */
  maxDelay: number;
  /** 1 is the first retry. */
  retry: number;
}

/** Milliseconds to wait before a retry, without jitter. With a base of 1 s: exponential 1, 2, 4, 8 s; linear 1, 2, 3, 4 s. */
export function backoffDelay({ backoff, baseDelay, maxDelay, retry }: BackoffOptions): number {
  return Math.min(maxDelay, baseDelay * factor(backoff, retry));
}

function factor(backoff: Backoff, retry: number): number {
  switch (backoff) {
    case 'exponential':
      // The exponent is limited because a base delay of 0 times Infinity is NaN.
      return 2 ** Math.min(retry - 1, 1000);
    case 'linear':
      return retry;
    case 'constant':
      return 1;
    default:
      return backoff satisfies never;
  }
}
