import { NightfillError } from '../../resilience/failure.ts';
import type { Rest } from '../api/api-request.ts';

export interface HeaderOptions {
  signal?: AbortSignal | undefined;
  /** Monotonic: until when an outage without a named end is waited for. Infinity when not given. */
  patience?: number | undefined;
  /** Monotonic: until when an outage is waited for whose end the server named. Infinity when not given. */
  deadline?: number | undefined;
}

/** Makes the headers that prove who asks. */
export interface Credentials {
  /** Until when there are none to be had (monotonic), and everybody waits; undefined when there are. */
  readonly rests: { until: number; because: Rest['because'] } | undefined;
  /** Waits while there are none to be had; throws TokenRestsError when that lasts longer than the caller can wait. */
  headers(options?: HeaderOptions): Promise<Record<string, string>>;
  /**
   * The server refused these headers; `again`: with other ones the same request was refused before. True when the next
   * `headers()` gives other ones, so that asking again makes sense.
   */
  refused(headers: Record<string, string>, o: { again: boolean }): boolean;
  /** The server took these headers. */
  accepted(headers: Record<string, string>): void;
  /** The beginning of the text without the credentials: some servers repeat them in their error messages. */
  redact(text: string): string;
}

/** The secret itself. A key pasted with its line break would be refused by the HTTP library in words that help nobody. */
export function sendable(secret: string, api: string): string {
  if (secret !== '' && /^[\x20-\x7e\x80-\xff]*$/.test(secret)) return secret;
  const fault =
    secret === '' ? 'empty' : 'not sendable: they hold a line break or another character no header can carry';
  throw new NightfillError({
    code: 'CREDENTIALS_UNUSABLE',
    class: 'config',
    message: `the credentials of API "${api}" are ${fault}; check the environment variable or file they come from`,
  });
}
