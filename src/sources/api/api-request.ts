import type { Json } from '../json/exact-json.ts';
import type { AnswerHeaders } from '../http/exchange.ts';

export interface ApiRequest {
  /** GET by default. */
  method?: 'GET' | 'POST';
  /** Absolute within the API's origin, or relative to its `baseUrl`. */
  url: string;
  headers?: Record<string, string>;
  body?: string;
  /** The request may be sent twice without harm. Default: true for GET. Set it for a POST that only reads (a search). */
  repeatable?: boolean;
  /** A lookup's name, or `listing`. Lanes take turns under the API's limits, so that none keeps the others waiting. */
  lane?: string;
  /** Accept an answer with thousands of levels of nesting; the caller must not visit it recursively. Default: false. */
  anyDepth?: boolean;
  signal?: AbortSignal;
  /** Monotonic milliseconds; limits every wait and attempt. */
  deadline?: number;
  /**
   * False for a caller that has a fallback: it waits for an open breaker's first trial only, because most outages are
   * short; after a failed trial the open breaker fails it at once. Default: true.
   */
  waitForBreaker?: boolean;
  /** Number of attempts, including the first. Default: the API's `retry.attempts`. */
  attempts?: number;
  /** The request failed in an earlier round, so another failure is not evidence of an outage. */
  failedBefore?: boolean;
  /** Waits until the deadline, however long the API asks to wait or refuses; for a request that all others depend on. */
  patient?: boolean;
}

export interface ApiAnswer {
  url: string;
  status: number;
  headers: AnswerHeaders;
  body: Json;
  attempts: number;
  /** Length of the body as received, compressed. */
  bytes: number;
}

/** A failed attempt that is followed by another after `delay` milliseconds. */
export interface RetryInfo {
  api: string;
  path: string;
  attempt: number;
  code: string;
  httpStatus?: number;
  delay: number;
}

/** A rest: nothing is sent to an API before `until` (epoch milliseconds). */
export interface Rest {
  api: string;
  until: number;
  /** The API asked for it, or seems to be down. */
  because: 'asked' | 'down';
}

/** Called when a rest of some seconds begins or is extended. */
export type OnRest = (rest: Omit<Rest, 'api'>) => void;

export interface ApiHooks {
  onRetry?: (info: RetryInfo) => void;
  /** A rest of some seconds begins or is extended. */
  onRest?: ((rest: Rest) => void) | undefined;
  /** A limit is lowered because the API announced a lower one, headroom subtracted. `per` in milliseconds. */
  onLowered?: (info: { api: string; requests: number; per: number }) => void;
}
