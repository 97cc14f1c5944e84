import { NightfillError } from '../resilience/failure.ts';
import type { AuthOptions } from './api-options.ts';
import { type Credentials, redactAll, sendable } from './credentials.ts';
import { getPath } from './json-path.ts';
import { isExactNumber, type Json, numberText, parseExactJson } from './exact-json.ts';

/** POSTs a form to the token's address, once; gives the answer whatever its status, throws when there is none. */
export type SendForm = (url: string, form: string) => Promise<{ status: number; text: string }>;

type ClientCredentials = Extract<AuthOptions, { type: 'oauth2' }>;

interface Token {
  headers: Record<string, string>;
  value: string;
  /** Monotonic milliseconds; Infinity when the server names no lifetime, and then only a 401 tells. */
  renewAt: number;
}

/** Renewed this share of its lifetime early, at most a minute, so that no request leaves with a token about to end. */
const earliness = 0.1;

/**
 * OAuth 2.0 client credentials (RFC 6749, 4.4). One token serves all requests, and one token request at a time serves
 * everybody who waits. It is outside the API's rate windows and statistics: it goes to another address, a few times a night.
 */
export class OAuthToken implements Credentials {
  readonly #auth: ClientCredentials;
  readonly #api: string;
  readonly #sendForm: SendForm;
  readonly #now: () => number;
  #token: Token | undefined;
  #renewal: Promise<Token> | undefined;

  constructor(auth: ClientCredentials, { api, sendForm, now }: { api: string; sendForm: SendForm; now: () => number }) {
    this.#auth = auth;
    this.#api = api;
    this.#sendForm = sendForm;
    this.#now = now;
  }

  async headers(signal?: AbortSignal): Promise<Record<string, string>> {
    if (this.#token && this.#now() < this.#token.renewAt) return this.#token.headers;
    this.#renewal ??= this.#renew().finally(() => {
      this.#renewal = undefined;
    });
    return (await unlessAborted(this.#renewal, signal)).headers;
  }

  refused(headers: Record<string, string>): boolean {
    // Of many refused at once only the first finds its token still in use; the others already have a newer one.
    if (this.#token?.headers === headers) this.#token = undefined;
    return true;
  }

  redact(text: string): string {
    return redactAll(text, [this.#auth.clientSecret.reveal(), ...(this.#token ? [this.#token.value] : [])]);
  }

  async #renew(): Promise<Token> {
    const { tokenUrl, clientId, clientSecret, scope, audience } = this.#auth;
    const form = new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: clientId,
      client_secret: clientSecret.reveal(),
      ...(scope === undefined ? {} : { scope }),
      ...(audience === undefined ? {} : { audience }),
    });
    const { status, text } = await this.#sendForm(tokenUrl, form.toString());
    // Which status means what differs from the API's own table: here any lasting refusal is one of the credentials.
    if (status === 408 || status === 429 || status >= 500) throw this.#unavailable(status);
    const answer = status >= 200 && status < 300 ? parsed(text) : undefined;
    const value = getPath(answer, ['access_token']);
    if (typeof value !== 'string' || value === '') throw this.#rejected(status, text);
    const lifetime = seconds(getPath(answer, ['expires_in']));
    const token: Token = {
      headers: { authorization: `Bearer ${sendable(value, this.#api)}` },
      value,
      renewAt: this.#now() + lifetime - Math.min(60_000, lifetime * earliness),
    };
    if (lifetime === Infinity) token.renewAt = Infinity;
    this.#token = token;
    return token;
  }

  #unavailable(status: number): NightfillError {
    return new NightfillError({
      code: 'TOKEN_UNAVAILABLE',
      class: 'transient',
      message: `the token server of API "${this.#api}" answered ${status} instead of giving a token; try again later`,
    });
  }

  #rejected(status: number, text: string): NightfillError {
    // RFC 6749, 5.2: the error is one of a few words; anything else in the body might repeat the secret.
    const word = getPath(parsed(text), ['error']);
    const said = typeof word === 'string' && /^[a-z_]{1,40}$/.test(word) ? ` (${word})` : '';
    return new NightfillError({
      code: 'CREDENTIALS_REJECTED',
      class: 'config',
      message: `the token server of API "${this.#api}" answered ${status}${said} and gave no token; check tokenUrl, clientId, clientSecret and scope`,
    });
  }
}

function parsed(text: string): Json | undefined {
  try {
    return parseExactJson(text);
  } catch {
    return undefined;
  }
}

/** `expires_in` in milliseconds; some servers send the number as a string. */
function seconds(value: Json | undefined): number {
  const number = isExactNumber(value) ? Number(numberText(value)) : typeof value === 'string' ? Number(value) : NaN;
  return number > 0 ? number * 1000 : Infinity;
}

/** The promise's value, unless the signal aborts first; the work behind the promise goes on for the others who wait. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
