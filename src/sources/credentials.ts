import { NightfillError } from '../resilience/failure.ts';

/** Makes the headers that prove who asks. */
export interface Credentials {
  headers(signal?: AbortSignal): Promise<Record<string, string>>;
  /** The server refused these headers. True when the next `headers()` gives other ones, so that asking again makes sense. */
  refused(headers: Record<string, string>): boolean;
  /** The text without the credentials: some servers repeat them in their error messages. */
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

/** Very short secrets stay: replacing every "a" would tell more than it hides. */
export function redactAll(text: string, secrets: readonly string[]): string {
  return secrets.reduce((rest, secret) => (secret.length >= 4 ? rest.replaceAll(secret, '[redacted]') : rest), text);
}
