import { backoffDelay } from '../../resilience/backoff.ts';
import type { Clock } from '../../resilience/clock.ts';
import type { NightfillError } from '../../resilience/failure.ts';
import { sleepUntil } from '../../resilience/sleep-until.ts';
import type { ApiOptions, AuthOptions } from '../api/api-options.ts';
import type { Rest } from '../api/api-request.ts';
import type { Credentials, HeaderOptions } from './credentials.ts';
import { redactorOf } from './redact-echoes.ts';
import { readToken } from './token-answer.ts';
import { TokenFailure, TokenRestsError } from './token-failure.ts';
import type { TokenAnswer } from './token-server.ts';

/** POSTs a form to the token's address, once; gives the answer whatever its status, throws when there is none. */
export type SendForm = (url: string, form: string, signal: AbortSignal) => Promise<TokenAnswer>;

/** Told of a rest of some seconds; `until` in epoch milliseconds. */
export type OnTokenRest = (rest: Omit<Rest, 'api'>) => void;

type ClientCredentials = Extract<AuthOptions, { type: 'oauth2' }>;

interface Token {
  headers: Record<string, string>;
  /** Monotonic: it is renewed from then on, and good until `endsAt`. Infinity when the server names no lifetime. */
  renewAt: number;
  endsAt: number;
  since: number;
  /** The one before was refused by the API. */
  afterRefusal: boolean;
  /** The API took it. */
  accepted: boolean;
}

/** Renewals have failed since the last token. */
interface Outage {
  error: NightfillError;
  /** Monotonic: when the first of them failed. */
  since: number;
  /** Monotonic: no renewal begins before. */
  until: number;
  /** The server said until when. */
  named: boolean;
  /** What no token server should say came so often that whoever asks meanwhile is told so at once. */
  hopeless: boolean;
  /** Renewals that failed in a row, and how many of them oddly. */
  failures: number;
  odd: number;
}

interface Renewal {
  done: Promise<Token | undefined>;
  waiting: number;
  abort: AbortController;
}

/** Renewed this share of its lifetime early, at most a minute, so that no request leaves with a token about to end. */
const earliness = 0.1;

/** A token that was made because of a 401 and works for others is not given up for another 401 within this time … */
const sureFor = 5 * 60_000;
/** … unless so many requests in a row are refused. */
const surelyRefused = 5;

/** Milliseconds: whatever an API's own retries are set to, a token server that is down is not asked faster. */
const leastBaseDelay = 10;
const leastMaxDelay = 1_000;

/** Milliseconds for which a token server that names a time again and again is waited for, where no deadline says it. */
const longestOutage = 24 * 3_600_000;

/** Milliseconds. */
const worthTelling = 5_000;

/**
 * OAuth 2.0 client credentials (RFC 6749, 4.4). One token serves all requests, and one renewal at a time serves
 * everybody who waits. While there is none to be had everybody waits, and the token server is asked once per step of an
 * exponential backoff, or when its Retry-After says. What it refuses stays refused.
 */
export class OAuthToken implements Credentials {
  readonly #auth: ClientCredentials;
  readonly #api: string;
  readonly #sendForm: SendForm;
  readonly #retry: Pick<ApiOptions['retry'], 'attempts' | 'baseDelay' | 'maxDelay' | 'jitter'>;
  readonly #onRest: OnTokenRest;
  readonly #clock: Clock;
  #token: Token | undefined;
  #renewal: Renewal | undefined;
  #outage: Outage | undefined;
  /** The token server's last word. */
  #refusal: NightfillError | undefined;
  /** By the API, since it last took a token. */
  #refusedInARow = 0;
  #droppedByRefusal = false;
  /** The newest first: an answer may still repeat the one before. */
  #values: string[] = [];
  #redact: (text: string) => string;

  constructor(
    auth: ClientCredentials,
    o: { api: string; sendForm: SendForm; retry: ApiOptions['retry']; onRest: OnTokenRest; clock: Clock },
  ) {
    this.#auth = auth;
    this.#api = o.api;
    this.#sendForm = o.sendForm;
    this.#retry = o.retry;
    this.#onRest = o.onRest;
    this.#clock = o.clock;
    this.#redact = redactorOf([auth.clientSecret.reveal()]);
  }

  get rests(): Credentials['rests'] {
    const outage = this.#outage;
    const now = this.#clock.now();
    if (!outage || outage.until <= now || outage.hopeless || this.#refusal) return undefined;
    if (this.#token && now < this.#token.endsAt) return undefined;
    return { until: outage.until, because: outage.named ? 'asked' : 'down' };
  }

  async headers({ signal, patience = Infinity, deadline = Infinity }: HeaderOptions = {}): Promise<
    Record<string, string>
  > {
    /* oxlint-disable no-await-in-loop -- the result of one renewal decides whether another is tried */
    for (;;) {
      const now = this.#clock.now();
      if (this.#token && now < this.#token.renewAt) return this.#token.headers;
      signal?.throwIfAborted();
      if (this.#refusal) throw this.#refusal;
      const outage = this.#outage;
      if (!outage || outage.until <= now) {
        // However short its life is, whoever waited for it may use it.
        const token = await this.#renewForAll(signal);
        if (token) return token.headers;
        continue;
      }
      // Renewed early, it still serves for a while.
      if (this.#token && now < this.#token.endsAt) return this.#token.headers;
      if (outage.hopeless) throw outage.error;
      if (outage.until > (outage.named ? Math.min(deadline, outage.since + longestOutage) : patience))
        throw new TokenRestsError({ retryAt: this.#clock.wallNow() + outage.until - now, cause: outage.error });
      await sleepUntil(outage.until, { clock: this.#clock, signal });
    }
    /* oxlint-enable no-await-in-loop */
  }

  refused(headers: Record<string, string>, { again }: { again: boolean }): boolean {
    // With a token of its own making refused as well, another one would not help this request.
    if (again) return false;
    const token = this.#token;
    // Of many refused at once only the first finds its token still in use; the others already have a newer one.
    if (token?.headers !== headers) return true;
    this.#refusedInARow += 1;
    const madeSure = token.afterRefusal && token.accepted && this.#clock.now() - token.since < sureFor;
    if (madeSure && this.#refusedInARow < surelyRefused) return false;
    this.#token = undefined;
    this.#droppedByRefusal = true;
    return true;
  }

  accepted(headers: Record<string, string>): void {
    if (this.#token?.headers !== headers) return;
    this.#token.accepted = true;
    this.#refusedInARow = 0;
  }

  redact(text: string): string {
    return this.#redact(text);
  }

  /** Ends when the renewal under way, or a new one, has ended. It is broken off when nobody waits for it any more. */
  async #renewForAll(signal: AbortSignal | undefined): Promise<Token | undefined> {
    const renewal = (this.#renewal ??= this.#begin());
    renewal.waiting += 1;
    try {
      return await unlessAborted(renewal.done, signal);
    } finally {
      renewal.waiting -= 1;
      if (renewal.waiting === 0 && this.#renewal === renewal) {
        this.#renewal = undefined;
        renewal.abort.abort();
      }
    }
  }

  #begin(): Renewal {
    const abort = new AbortController();
    const done = this.#renew(abort.signal);
    // Broken off, it has nobody left to be told.
    done.catch(() => undefined);
    return { done, waiting: 0, abort };
  }

  /** Brings a token, or notes why there is none. Throws what is no failure of the token server's. */
  async #renew(signal: AbortSignal): Promise<Token | undefined> {
    const { tokenUrl, clientId, clientSecret, scope, audience } = this.#auth;
    const form = new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: clientId,
      client_secret: clientSecret.reveal(),
      ...(scope === undefined ? {} : { scope }),
      ...(audience === undefined ? {} : { audience }),
    });
    try {
      const answer = await this.#sendForm(tokenUrl, form.toString(), signal);
      const { value, lifetime } = readToken(answer, { api: this.#api, wallNow: this.#clock.wallNow() });
      return this.#keep(value, lifetime);
    } catch (error) {
      if (!(error instanceof TokenFailure)) throw error;
      this.#noteFailure(error);
      return undefined;
    }
  }

  #keep(value: string, lifetime: number): Token {
    const now = this.#clock.now();
    const token: Token = {
      headers: { authorization: `Bearer ${value}` },
      renewAt: now + (lifetime === Infinity ? Infinity : lifetime - Math.min(60_000, lifetime * earliness)),
      endsAt: now + lifetime,
      since: now,
      afterRefusal: this.#droppedByRefusal,
      accepted: false,
    };
    this.#token = token;
    this.#droppedByRefusal = false;
    this.#refusedInARow = 0;
    this.#outage = undefined;
    this.#values = [value, ...this.#values.slice(0, 1)];
    this.#redact = redactorOf([this.#auth.clientSecret.reveal(), ...this.#values]);
    return token;
  }

  #noteFailure(error: TokenFailure): void {
    const { attempts, baseDelay, maxDelay, jitter } = this.#retry;
    const failures = (this.#outage?.failures ?? 0) + 1;
    const odd = error.kind === 'odd' ? (this.#outage?.odd ?? 0) + 1 : 0;
    const hopeless = odd >= attempts;
    if (error.kind === 'refused' || (hopeless && error.code === 'CREDENTIALS_REJECTED')) this.#refusal = error;
    const backoff = backoffDelay({
      backoff: 'exponential',
      baseDelay: Math.max(leastBaseDelay, baseDelay),
      maxDelay: Math.max(leastMaxDelay, maxDelay),
      retry: failures,
    });
    // Only one asks, so jitter is for other processes: it may halve a delay, and never leaves none.
    const delay = Math.max(error.wait ?? 0, backoff * (jitter ? (1 + this.#clock.random()) / 2 : 1));
    const now = this.#clock.now();
    const named = (error.wait ?? 0) > 0;
    this.#outage = { error, since: this.#outage?.since ?? now, until: now + delay, named, hopeless, failures, odd };
    const { rests } = this;
    if (rests && delay >= worthTelling) this.#onRest({ ...rests, until: this.#clock.wallNow() + delay });
  }
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
