import type { Json } from '../json/exact-json.ts';
import type { AnswerHeaders } from '../http/exchange.ts';

export interface ApiRequest {
  /** GET by default. */
  method?: 'GET' | 'POST';
  /** Absolute within the API's origin, or relative to its `baseUrl`. */
  url: string;
  headers?: Record<string, string>;
  body?: string;
  /** Asking twice does no harm: by default true for GET. A POST that only reads (a search, a query) should say so. */
  repeatable?: boolean;
  /** Who asks: a lookup's name, or `listing`. Keys that share this API's limits take turns. */
  key?: string;
  /** Whether an answer nested thousands of levels deep is read: who asks must not visit it recursively. False by default. */
  anyDepth?: boolean;
  signal?: AbortSignal;
  /** Monotonic milliseconds; bounds every wait and attempt. */
  deadline?: number;
  /**
   * False for a caller with something else to go by: it waits for an open breaker's first trial, for outages mostly
   * pass, and once a trial has failed an open breaker fails it at once. True by default.
   */
  waitForBreaker?: boolean;
  /** How often it may be asked, the first time included; by default as often as the API's `retry` says. */
  attempts?: number;
  /** It has failed before, so that failing again is no evidence of an outage. */
  failedBefore?: boolean;
  /** Waits as long as the API asks, or refuses, until the deadline; for what everything else depends on. */
  patient?: boolean;
}

export interface ApiAnswer {
  url: string;
  status: number;
  headers: AnswerHeaders;
  body: Json;
  attempts: number;
  /** Of the body, as it came over the wire. */
  bytes: number;
}

/** One attempt failed, and another follows after `delay` milliseconds. */
export interface RetryInfo {
  api: string;
  path: string;
  attempt: number;
  code: string;
  httpStatus?: number;
  delay: number;
}

/** Nothing is sent to an API before `until` (epoch milliseconds). */
export interface Rest {
  api: string;
  until: number;
  /** It asked for that, or seems to be down. */
  because: 'asked' | 'down';
}

export interface ApiHooks {
  onRetry?: (info: RetryInfo) => void;
  /** A rest of some seconds begins, or grows. */
  onRest?: ((rest: Rest) => void) | undefined;
  /** The API announced a limit, less headroom, below one it was set up with, which is lowered from now on. `per` in milliseconds. */
  onLowered?: (info: { api: string; requests: number; per: number }) => void;
}
