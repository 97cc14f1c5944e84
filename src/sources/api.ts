import { BreakerOpenError, CircuitBreaker } from '../resilience/circuit-breaker.ts';
import { type Clock, systemClock } from '../resilience/clock.ts';
import { DeadlineError, withDeadline } from '../resilience/deadline.ts';
import { NightfillError } from '../resilience/failure.ts';
import type { Quota } from '../resilience/quota.ts';
import { retry, RetryAbandonedError } from '../resilience/retry.ts';
import type { Permit } from '../resilience/rolling-window.ts';
import { TimeoutError, withTimeout } from '../resilience/timeout.ts';
import { ApiAddress } from './api-address.ts';
import { ApiLimits } from './api-limits.ts';
import type { ApiOptions } from './api-options.ts';
import type { ApiAnswer, ApiHooks, ApiRequest } from './api-request.ts';
import { type ApiStatistics, Tally } from './api-statistics.ts';
import { createCredentials } from './auth.ts';
import { type Connections, openConnections } from './connections.ts';
import type { Credentials } from './credentials.ts';
import { acceptedEncodings } from './decode-body.ts';
import { describeFailure, type RequestFacts } from './describe-failure.ts';
import { exchange, ExchangeError, type WireAnswer } from './exchange.ts';
import { isLostConnection } from './fault-code.ts';
import { readAnswer } from './read-answer.ts';
import { Refusals } from './refusals.ts';
import { RequestError } from './request-error.ts';
import { Slots } from './slots.ts';
import { type TokenRequestCounter, TokenServer } from './token-server.ts';

export { RequestError } from './request-error.ts';
export { TokenRestsError } from './token-failure.ts';
export type { ApiAnswer, ApiHooks, ApiRequest, RetryInfo } from './api-request.ts';
export type { ApiStatistics } from './api-statistics.ts';

/** What belongs to one request, however often it is sent. */
interface Call {
  request: ApiRequest;
  method: 'GET' | 'POST';
  url: URL;
  repeatable: boolean;
  signal: AbortSignal | undefined;
  /** Monotonic: how long an open breaker is waited for. Without a deadline not for ever, or a dead API would hold the run up. */
  patience: number;
  /** The token was renewed after a 401; a second one is final. */
  renewed: boolean;
  /** A dead keep-alive connection was already made good for. */
  repeated: boolean;
}

/** One API: its sockets and everything that protects it and us from each other. Shared by all that call it. */
export class Api implements AsyncDisposable {
  readonly name: string;
  readonly #options: ApiOptions;
  readonly #clock: Clock;
  readonly #onRetry: ApiHooks['onRetry'];
  readonly #address: ApiAddress;
  readonly #headers: Record<string, string>;
  readonly #pool: Connections;
  readonly #slots: Slots;
  readonly #limits: ApiLimits;
  readonly #breaker: CircuitBreaker;
  /** The breaker's trial after an outage failed, and none has succeeded since. */
  #seemsDead = false;
  readonly #tokenServer: TokenServer;
  readonly #credentials: Credentials;
  readonly #refusals = new Refusals();
  readonly #tally = new Tally();
  #running = 0;
  #idle: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: ApiOptions, { clock = systemClock, onRetry, onLowered }: ApiHooks & { clock?: Clock } = {}) {
    this.name = options.name;
    this.#options = options;
    this.#clock = clock;
    this.#onRetry = onRetry;
    this.#address = new ApiAddress(options);
    this.#headers = {
      accept: 'application/json',
      'accept-encoding': acceptedEncodings,
      'user-agent': 'nightfill',
      ...lowerCased(options.headers),
    };
    this.#tokenServer = this.#openTokenServer();
    this.#credentials = createCredentials(options.auth, {
      api: options.name,
      sendForm: async (url, form, signal) => this.#tokenServer.sendForm(url, form, signal),
      retry: options.retry,
      clock,
    });
    this.#pool = openConnections(this.#address.origin, {
      connections: options.connections,
      connectTimeout: Math.min(10_000, options.timeout),
      tls: options.tls,
      proxy: options.proxy,
    });
    this.#slots = new Slots(options.limits.concurrency, { clock });
    this.#limits = new ApiLimits(options, { clock, onLowered });
    this.#breaker = new CircuitBreaker({
      ...options.breaker,
      onStateChange: (from, to) => {
        if (to === 'closed') this.#seemsDead = false;
        else if (from === 'half-open' && to === 'open') this.#seemsDead = true;
      },
      clock,
      countIf: (error) => error instanceof RequestError && error.countsAgainstServer,
    });
  }

  /** Tokens that come from the API's own origin take its permits and count among its requests. */
  #openTokenServer(): TokenServer {
    const { name: api, auth, timeout, tls, tokenProxy: proxy } = this.#options;
    const isOwn = auth.type === 'oauth2' && new URL(auth.tokenUrl).origin === this.#address.origin;
    const counter: TokenRequestCounter = {
      permit: async (signal) => this.#limits.permit({ key: 'token', signal, deadline: Infinity, attempts: 0 }),
      written: () => {
        this.quota?.spend();
        this.#tally.written(this.#clock.now());
      },
      answered: (status, latencyMs) => this.#tally.answered(status, latencyMs),
    };
    // A client certificate is a credential, and credentials never leave their origin.
    const connections = { proxy, ...(isOwn && { tls }) };
    return new TokenServer({ api, timeout, clock: this.#clock, connections, ...(isOwn && { counter }) });
  }

  /** Scheme, host and port: the one place its credentials go to. */
  get origin(): string {
    return this.#address.origin;
  }

  /** Counts what is sent; whoever begins work asks it first. */
  get quota(): Quota | undefined {
    return this.#limits.quota;
  }

  /** The address of a path below `baseUrl`; `query` values are encoded here. Throws PATH_NOT_ALLOWED. */
  resolveUrl(path: string, query: Record<string, string>): string {
    return this.#address.resolve(path, query);
  }

  /** The JSON answer. Throws RequestError, or the signal's own reason when the caller aborted. */
  async request(request: ApiRequest): Promise<ApiAnswer> {
    if (this.#closing) {
      const message = `API "${this.name}" was asked after it was closed`;
      throw new NightfillError({ code: 'API_CLOSED', class: 'system', message });
    }
    this.#running += 1;
    try {
      return await this.#withinDeadline(request);
    } finally {
      this.#running -= 1;
      if (this.#running === 0) this.#idle?.();
    }
  }

  async #withinDeadline(request: ApiRequest): Promise<ApiAnswer> {
    const { deadline, signal, method = 'GET' } = request;
    const url = this.#address.own(request.url);
    const repeatable = request.repeatable ?? method === 'GET';
    const now = this.#clock.now();
    const longest = deadline ?? now + this.#options.retry.maxElapsed;
    const firstTrial = now + (this.#seemsDead ? 0 : this.#options.breaker.openFor);
    const patience = request.waitForBreaker === false ? Math.min(firstTrial, longest) : longest;
    const run = async (bounded: AbortSignal | undefined): Promise<ApiAnswer> =>
      this.#withRetries({
        request,
        method,
        url,
        repeatable,
        patience,
        signal: bounded,
        renewed: false,
        repeated: false,
      });
    if (deadline === undefined || deadline === Infinity) return run(signal);
    try {
      return await withDeadline(deadline, run, { clock: this.#clock, ...(signal ? { signal } : {}) });
    } catch (error) {
      const attempts = error instanceof DeadlineError && error.cause instanceof RequestError ? error.cause.attempts : 0;
      throw signal?.aborted ? error : describeFailure(error, this.#facts({ method, url, repeatable }, attempts));
    }
  }

  /*
   * The order of the layers, from the outside in, and why:
   *   retry     outermost, so that every attempt passes all the others anew and a waiting attempt holds nothing.
   *   breaker   first a wait for it to be ready: an open one must not fill the slots with requests that cannot be sent.
   *   slot      before the permit: a permit that then waited for a slot would be spent long after it was granted, and the
   *             window would be left half empty.
   *   token     inside the slot, so that a queue of thousands does not leave with a token from before the wait.
   *   permit    last of the waits; it is stamped when the request is written to its socket, and given back when it never is.
   *   breaker   `execute` around the exchange alone, so that no wait of ours counts for or against the server. It may have
   *             opened meanwhile: then back to the wait, without an attempt spent.
   *   timeout   innermost: an attempt's time begins when nothing of ours holds it up any more, and ends with the last byte.
   */
  async #withRetries(call: Call): Promise<ApiAnswer> {
    const { deadline } = call.request;
    try {
      return await retry(async (attempt) => this.#attempt(call, attempt), {
        ...this.#options.retry,
        retryIf: (error) => error instanceof RequestError && error.retryable,
        retryAfter: (error) => (error instanceof RequestError ? error.wait : undefined),
        onRetry: (attempt, error, delay) => this.#noteRetry(call, { attempt, error, delay }),
        deadline,
        clock: this.#clock,
        signal: call.signal,
      });
    } catch (error) {
      // An abort is the caller's own doing, and no failure of the API's.
      call.request.signal?.throwIfAborted();
      // The cause says what happened and when to come back.
      throw error instanceof RetryAbandonedError ? error.cause : error;
    }
  }

  async #attempt(call: Call, attempt: number): Promise<ApiAnswer> {
    const facts = this.#facts(call, attempt);
    const { signal } = call;
    for (;;) {
      try {
        await this.#breaker.whenReady({ deadline: call.patience, signal });
      } catch (error) {
        throw describeFailure(error, facts);
      }
      try {
        return await this.#slots.run(async () => this.#send(call, facts), { key: call.request.key, signal });
      } catch (error) {
        if (error instanceof BreakerOpenError || error instanceof RepeatAtOnce) continue;
        throw describeFailure(error, facts);
      }
    }
  }

  /** Within a slot: token, permit, breaker, timeout, exchange. */
  async #send(call: Call, facts: RequestFacts): Promise<ApiAnswer> {
    const { key, deadline = Infinity, waitForBreaker } = call.request;
    const { patience, signal } = call;
    const authorization = await this.#credentials.headers({
      signal,
      patience,
      deadline: waitForBreaker === false ? patience : deadline,
    });
    const permit = await this.#limits.permit({ key, signal: call.signal, deadline, attempts: facts.attempt - 1 });
    try {
      return await this.#breaker.execute(
        async () => {
          try {
            const wire = await withTimeout(
              this.#options.timeout,
              async (signal) => this.#exchange(call, { authorization, permit, signal }),
              { clock: this.#clock, ...(call.signal ? { signal: call.signal } : {}) },
            );
            return await this.#read(wire, { call, facts, authorization });
          } catch (error) {
            throw this.#noteFailure(error, { call, facts });
          }
        },
        // An exchange that we broke off says nothing about the server.
        { signal: call.signal },
      );
    } finally {
      permit?.release();
    }
  }

  async #exchange(
    call: Call,
    {
      authorization,
      permit,
      signal,
    }: { authorization: Record<string, string>; permit: Permit | undefined; signal: AbortSignal },
  ): Promise<WireAnswer> {
    let writtenAt = 0;
    const wire = await exchange(
      this.#pool,
      {
        method: call.method,
        path: call.url.pathname + call.url.search,
        headers: {
          ...this.#headers,
          ...(call.request.body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(call.request.headers ? lowerCased(call.request.headers) : {}),
          ...authorization,
        },
        body: call.request.body,
      },
      {
        signal,
        maxBytes: this.#options.maxResponseBytes,
        onWritten: () => {
          permit?.sent();
          this.quota?.spend();
          writtenAt = this.#clock.now();
          this.#tally.written(writtenAt);
        },
        onAnswered: () => permit?.answered(),
      },
    );
    this.#tally.answered(wire.status, this.#clock.now() - writtenAt);
    this.#limits.heed(wire.headers);
    return wire;
  }

  async #read(
    wire: WireAnswer,
    { call, facts, authorization }: { call: Call; facts: RequestFacts; authorization: Record<string, string> },
  ): Promise<ApiAnswer> {
    const body = await readAnswer(wire, {
      facts,
      rules: this.#options.responses,
      maxBytes: this.#options.maxResponseBytes,
      anyDepth: call.request.anyDepth ?? false,
      onMeaning: ({ action }) => {
        if (action === 'ok') {
          this.#refusals.accepted();
          this.#credentials.accepted(authorization);
        }
        if (action !== 'unauthorized' || !this.#credentials.refused(authorization, { again: call.renewed })) return;
        call.renewed = true;
        throw new RepeatAtOnce();
      },
    });
    return {
      url: call.url.href,
      status: wire.status,
      headers: wire.headers,
      body,
      attempts: facts.attempt,
      bytes: wire.body.length,
    };
  }

  /** The failure as the breaker, the retry and the caller will see it. */
  #noteFailure(error: unknown, { call, facts }: { call: Call; facts: RequestFacts }): unknown {
    if (error instanceof TimeoutError) this.#tally.timeouts += 1;
    if (call.repeatable && !call.repeated && diedIdle(error)) {
      call.repeated = true;
      return new RepeatAtOnce();
    }
    const failure = describeFailure(error, facts);
    if (failure instanceof RequestError && failure.code === 'RATE_LIMITED') {
      this.#tally.rateLimited += 1;
      this.#limits.slowDown(failure.wait);
    }
    return failure;
  }

  #noteRetry(call: Call, { attempt, error, delay }: { attempt: number; error: unknown; delay: number }): void {
    this.#tally.retries += 1;
    if (!this.#onRetry || !(error instanceof RequestError)) return;
    const { code, httpStatus } = error;
    this.#onRetry({
      api: this.name,
      path: call.url.pathname,
      attempt,
      code,
      delay,
      ...(httpStatus === undefined ? {} : { httpStatus }),
    });
  }

  #facts({ method, url, repeatable }: Pick<Call, 'method' | 'url' | 'repeatable'>, attempt: number): RequestFacts {
    const redact = (text: string): string => this.#credentials.redact(text);
    const { hasAnswered } = this.#tally;
    const refusesAll = (): boolean => this.#refusals.refused(url.pathname + url.search);
    return { api: this.name, method, url, attempt, repeatable, hasAnswered, refusesAll, redact, clock: this.#clock };
  }

  /** What has happened so far; a copy. */
  statistics(): ApiStatistics {
    const tally = this.#tally;
    return {
      name: this.name,
      requests: tally.requests,
      retries: tally.retries,
      timeouts: tally.timeouts,
      statuses: { ...tally.statuses },
      rateLimited: tally.rateLimited,
      waitedMs: Math.round(this.#limits.waitedMs),
      latencyMs: tally.latencyMs(),
      rates: this.#limits.peaks(),
      concurrency: { limit: this.#slots.limit, peak: this.#slots.peak },
      breaker: { opened: this.#breaker.opened, finalState: this.#breaker.state },
      inFlight: this.#slots.inUse,
      currentRate: tally.currentRate(this.#clock.now()),
    };
  }

  /** Monotonic: when the last of `requests` more (1 at least) could be sent at the soonest under the rates. */
  soonestSent(requests: number): number {
    return this.#limits.soonestSent(requests);
  }

  /** Lets what runs end, then closes the sockets. Called again it waits for the same end. */
  async close(): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async #close(): Promise<void> {
    const idle = Promise.withResolvers<void>();
    this.#idle = idle.resolve;
    if (this.#running > 0) await idle.promise;
    await Promise.all([this.#pool.close(), this.#tokenServer.close()]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Not an attempt: the same request once more, through all the limits. */
class RepeatAtOnce extends Error {}

/** A connection kept alive that the server closed just as the request went out (RFC 9112, 9.3.1). */
function diedIdle(error: unknown): boolean {
  return error instanceof ExchangeError && error.reusedSocket && !error.answered && isLostConnection(error.cause);
}

function lowerCased(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}
