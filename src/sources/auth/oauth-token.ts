import { backoffDelay } from '../../resilience/backoff.ts';
import type { Clock } from '../../resilience/clock.ts';
import type { NightfillError } from '../../resilience/failure.ts';
import { sleepUntil } from '../../resilience/sleep-until.ts';
import type { ApiOptions, AuthOptions } from '../api/api-options.ts';
import type { OnRest } from '../api/api-request.ts';
import { shortestReportedRest } from '../api/api-rests-error.ts';
import type { Credentials, HeaderOptions } from './credentials.ts';
import { redactorOf } from './redact-echoes.ts';
import { readToken } from './token-answer.ts';
import { TokenFailure, TokenRestsError } from './token-failure.ts';
import type { TokenAnswer } from './token-server.ts';

/** POSTs a form to the token URL once. Gives the answer whatever its status; throws when there is none. */
export type SendForm = (url: string, form: string, signal: AbortSignal) => Promise<TokenAnswer>;

type ClientCredentials = Extract<AuthOptions, { type: 'oauth2' }>;

interface Token {
  headers: Record<string, string>;
  /** Monotonic: renewed from then on, valid until `endsAt`. Infinity when the server states no lifetime. */
  renewAt: number;
  endsAt: number;
  since: number;
  /** The API refused the previous token. */
  afterRefusal: boolean;
  /** The API accepted this token. */
  accepted: boolean;
}

/** Failed renewals since the last token. */
interface Outage {
  error: NightfillError;
  /** Monotonic: when the first of them failed. */
  since: number;
  /** Monotonic: no renewal starts earlier. */
  until: number;
  /** The server stated `until`. */
  statedByServer: boolean;
  /** After too many `odd` answers in a row callers get the error at once instead of waiting. */
  failsAtOnce: boolean;
  /** Consecutive failed renewals, and how many of the latest were `odd` (see TokenFailureKind). */
  failures: number;
  odd: number;
}

interface Renewal {
  done: Promise<Token | undefined>;
  waiting: number;
  abort: AbortController;
}

/** A token is renewed this share of its lifetime early, at most a minute, so that no request is sent with one about to expire. */
const renewalShare = 0.1;

/** Milliseconds: within this time a token renewed after a 401 and accepted since is not dropped for another 401 … */
const trustedFor = 5 * 60_000;
/** … unless this many requests in a row are refused. */
const refusalsToDrop = 5;

/** Milliseconds: the least delays for a token server that is down, whatever the API's `retry` says. */
const leastBaseDelay = 10;
const leastMaxDelay = 1_000;

/** Milliseconds: how long to wait, without a deadline, for a token server that states a new time again and again. */
const longestOutage = 24 * 3_600_000;

/**
 * OAuth 2.0 client credentials (RFC 6749, 4.4). All requests share one token, and all waiting requests share one renewal.
 * While the token server gives none, all requests wait; it is asked once per step of an exponential backoff, or at the
 * time of its Retry-After. A refusal by the token server is final.
 */
export class OAuthToken implements Credentials {
  readonly #auth: ClientCredentials;
  readonly #api: string;
  readonly #sendForm: SendForm;
  readonly #retry: Pick<ApiOptions['retry'], 'attempts' | 'baseDelay' | 'maxDelay' | 'jitter'>;
  readonly #onRest: OnRest;
  readonly #clock: Clock;
  #token: Token | undefined;
  #renewal: Renewal | undefined;
  #outage: Outage | undefined;
  /** The token server's final refusal. */
  #refusal: NightfillError | undefined;
  /** Requests that the API refused since it last accepted a token. */
  #refusedInARow = 0;
  #droppedByRefusal = false;
  /** The current token and the previous one, because an answer may still repeat that. */
  #values: string[] = [];
  #redact: (text: string) => string;

  constructor(
    auth: ClientCredentials,
    o: { api: string; sendForm: SendForm; retry: ApiOptions['retry']; onRest: OnRest; clock: Clock },
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
    if (!outage || outage.until <= now || outage.failsAtOnce || this.#refusal) return undefined;
    if (this.#token && now < this.#token.endsAt) return undefined;
    return { until: outage.until, because: outage.statedByServer ? 'asked' : 'down' };
  }

  async headers({ signal, patience = Infinity, deadline = Infinity }: HeaderOptions = {}): Promise<
    Record<string, string>
  > {
    for (;;) {
      const now = this.#clock.now();
      if (this.#token && now < this.#token.renewAt) return this.#token.headers;
      signal?.throwIfAborted();
      if (this.#refusal) throw this.#refusal;
      const outage = this.#outage;
      if (!outage || outage.until <= now) {
        // Callers that waited for the token may use it however short its lifetime is.
        // oxlint-disable-next-line no-await-in-loop -- the result of one renewal decides whether another is tried
        const token = await this.#renewForAll(signal);
        if (token) return token.headers;
        continue;
      }
      // A failed early renewal leaves a token that is still valid.
      if (this.#token && now < this.#token.endsAt) return this.#token.headers;
      if (outage.failsAtOnce) throw outage.error;
      if (outage.until > (outage.statedByServer ? Math.min(deadline, outage.since + longestOutage) : patience))
        throw new TokenRestsError({ retryAt: this.#clock.wallNow() + outage.until - now, cause: outage.error });
      // oxlint-disable-next-line no-await-in-loop -- the result of one renewal decides whether another is tried
      await sleepUntil(outage.until, { clock: this.#clock, signal });
    }
    /* oxlint-enable no-await-in-loop */
  }

  refused(headers: Record<string, string>, { again }: { again: boolean }): boolean {
    // This request was refused with a renewed token too, so a third token would not help.
    if (again) return false;
    const token = this.#token;
    // Of several requests refused at once, only the first drops the token; the others repeat with the newer one.
    if (token?.headers !== headers) return true;
    this.#refusedInARow += 1;
    const isTrusted = token.afterRefusal && token.accepted && this.#clock.now() - token.since < trustedFor;
    if (isTrusted && this.#refusedInARow < refusalsToDrop) return false;
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

  /** Waits for the running renewal, or starts one. Aborts the renewal when its last waiter has left. */
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
    // An aborted renewal has no waiters left to handle its rejection.
    done.catch(() => undefined);
    return { done, waiting: 0, abort };
  }

  /** Fetches a token, or records the token server's failure. Throws any other error. */
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
      renewAt: now + (lifetime === Infinity ? Infinity : lifetime - Math.min(60_000, lifetime * renewalShare)),
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
    const failsAtOnce = odd >= attempts;
    if (error.kind === 'refused' || (failsAtOnce && error.code === 'CREDENTIALS_REJECTED')) this.#refusal = error;
    const backoff = backoffDelay({
      backoff: 'exponential',
      baseDelay: Math.max(leastBaseDelay, baseDelay),
      maxDelay: Math.max(leastMaxDelay, maxDelay),
      retry: failures,
    });
    // One renewal runs at a time, so jitter only separates processes: it shortens a delay by half at most.
    const delay = Math.max(error.wait ?? 0, backoff * (jitter ? (1 + this.#clock.random()) / 2 : 1));
    const now = this.#clock.now();
    const statedByServer = (error.wait ?? 0) > 0;
    const since = this.#outage?.since ?? now;
    this.#outage = { error, since, until: now + delay, statedByServer, failsAtOnce, failures, odd };
    const { rests } = this;
    if (rests && delay >= shortestReportedRest) this.#onRest({ ...rests, until: this.#clock.wallNow() + delay });
  }
}

/** The promise's value, unless the signal aborts first. An abort does not stop the work, because others wait for it. */
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
