import { NightfillError } from '../../resilience/failure.ts';
import type { Rest } from '../api/api-request.ts';

export interface HeaderOptions {
  signal?: AbortSignal | undefined;
  /** Monotonic: how long to wait for an outage whose end the server did not state. Default: Infinity. */
  patience?: number | undefined;
  /** Monotonic: how long to wait for an outage whose end the server stated. Default: Infinity. */
  deadline?: number | undefined;
}

/** Provides the headers that authenticate requests. */
export interface Credentials {
  /** Until when no credentials are available (monotonic) and all requests wait; undefined while they are available. */
  readonly rests: { until: number; because: Rest['because'] } | undefined;
  /** Waits until credentials are available; throws TokenRestsError when that takes longer than the caller can wait. */
  headers(options?: HeaderOptions): Promise<Record<string, string>>;
  /**
   * Reports that the API refused these headers; `again`: it refused this request with other headers before. True when the
   * next `headers()` gives other ones, so that the request can be repeated.
   */
  refused(headers: Record<string, string>, o: { again: boolean }): boolean;
  /** Reports that the API accepted these headers. */
  accepted(headers: Record<string, string>): void;
  /** The beginning of the text without the credentials, which some servers repeat in their error messages. */
  redact(text: string): string;
}

/** Gives the secret if a header can carry it, because the HTTP library's own error about a pasted line break is unclear. */
export function sendable(secret: string, api: string): string {
  if (secret !== '' && /^[\x20-\x7e\x80-\xff]*$/.test(secret)) return secret;
  const fault = secret === '' ? 'are empty' : 'contain a line break or another character that a header cannot carry';
  throw new NightfillError({
    code: 'CREDENTIALS_UNUSABLE',
    class: 'config',
    message: `the credentials of API "${api}" ${fault}; check the environment variable or file they come from`,
  });
}
