import { backoffDelay } from '../resilience/backoff.ts';
import { BreakerOpenError, CircuitBreaker } from '../resilience/circuit-breaker.ts';
import { type Clock, systemClock } from '../resilience/clock.ts';
import { DeadlineError } from '../resilience/deadline.ts';
import { NightfillError } from '../resilience/failure.ts';
import type { Quota } from '../resilience/quota.ts';
import { retry, RetryAbandonedError } from '../resilience/retry.ts';
import { SharedDeadlines } from '../resilience/shared-deadlines.ts';
import { sleepUntil } from '../resilience/sleep-until.ts';
import { ApiAddress } from './api-address.ts';
import { ApiLimits } from './api-limits.ts';
import type { ApiOptions } from './api-options.ts';
import type { ApiAnswer, ApiHooks, ApiRequest, Rest } from './api-request.ts';
import { ApiRestsError } from './api-rests-error.ts';
import { type ApiStatistics, Tally } from './api-statistics.ts';
import { createCredentials } from './auth.ts';
import { Call } from './call.ts';
import { type Connections, openConnections } from './connections.ts';
import type { Credentials } from './credentials.ts';
import { describeFailure, type RequestFacts } from './describe-failure.ts';
import { Pace } from './pace.ts';
import { Refusals } from './refusals.ts';
import { RequestError } from './request-error.ts';
import { RepeatAtOnce, Sender, SharedFailure } from './sender.ts';
import { Slots } from './slots.ts';
import { TokenRestsError } from './token-failure.ts';
import { type TokenRequestCounter, TokenServer } from './token-server.ts';

export { RequestError } from './request-error.ts';
export type { ApiAnswer, ApiHooks, ApiRequest, RetryInfo } from './api-request.ts';
export type { ApiStatistics } from './api-statistics.ts';

/** Milliseconds without a good answer after which an API is not waited for any more, where no deadline says it. */
const downForGood = 30 * 60_000;

/** One API: its sockets and everything that protects it and us from each other. Shared by all that call it. */
export class Api implements AsyncDisposable {
  readonly name: string;
  readonly #options: ApiOptions;
  readonly #clock: Clock;
  readonly #onRetry: ApiHooks['onRetry'];
  readonly #address: ApiAddress;
  readonly #pool: Connections;
  readonly #slots: Slots;
  readonly #limits: ApiLimits;
  readonly #breaker: CircuitBreaker;
  readonly #pace: Pace;
  readonly #sender: Sender;
  readonly #deadlines: SharedDeadlines;
  /** The breaker's trials after an outage failed, and it has not closed since. */
  #seemsDead = false;
  /** Monotonic: since when no answer was good, while requests fail. */
  #failingSince: number | undefined;
  readonly #tokenServer: TokenServer;
  readonly #credentials: Credentials;
  readonly #refusals = new Refusals();
  readonly #tally = new Tally();
  #running = 0;
  #idle: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: ApiOptions, { clock = systemClock, ...hooks }: ApiHooks & { clock?: Clock } = {}) {
    this.name = options.name;
    this.#options = options;
    this.#clock = clock;
    this.#onRetry = hooks.onRetry;
    this.#address = new ApiAddress(options);
    this.#tokenServer = this.#openTokenServer();
    this.#credentials = createCredentials(options.auth, {
      api: options.name,
      sendForm: async (url, form, signal) => this.#tokenServer.sendForm(url, form, signal),
      retry: options.retry,
      onRest: (rest) => hooks.onRest?.({ api: options.name, ...rest }),
      clock,
    });
    this.#pool = openConnections(this.#address.origin, {
      connections: options.connections,
      connectTimeout: Math.min(10_000, options.timeout),
      tls: options.tls,
      proxy: options.proxy,
    });
    this.#deadlines = new SharedDeadlines({ clock });
    this.#slots = new Slots(options.limits.concurrency, { clock });
    this.#limits = new ApiLimits(options, { clock, ...hooks });
    this.#breaker = new CircuitBreaker({
      ...options.breaker,
      onStateChange: (from, to) => {
        if (to === 'closed') this.#seemsDead = false;
        else if (from === 'half-open' && to === 'open') this.#seemsDead = true;
        const rest = from === 'closed' && this.#restNow();
        if (rest) hooks.onRest?.({ api: options.name, ...rest });
      },
      clock,
      countIf: (error) => error instanceof RequestError && error.countsAgainstServer,
      answered: (error) => error instanceof RequestError && error.httpStatus !== undefined,
      retryAfter: (error) => (error instanceof RequestError ? error.wait : undefined),
    });
    this.#pace = new Pace({ concurrency: this.#slots.adaptive, window: this.#limits.window });
    this.#sender = new Sender({
      options,
      clock,
      pool: this.#pool,
      limits: this.#limits,
      pace: this.#pace,
      breaker: this.#breaker,
      credentials: this.#credentials,
      refusals: this.#refusals,
      tally: this.#tally,
    });
  }

  /** Tokens that come from the API's own origin take its permits and count among its requests. */
  #openTokenServer(): TokenServer {
    const { name: api, auth, timeout, tls, tokenProxy: proxy } = this.#options;
    const isOwn = auth.type === 'oauth2' && new URL(auth.tokenUrl).origin === this.#address.origin;
    const counter: TokenRequestCounter = {
      permit: async (signal) => this.#limits.permit({ key: 'token', signal, deadline: Infinity }),
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

  /**
   * The JSON answer. Throws RequestError; ApiRestsError when everybody is to wait for longer than the deadline allows; or
   * the signal's own reason when the caller aborted.
   */
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
    const { deadline, signal } = request;
    const clock = this.#clock;
    const url = this.#address.own(request.url);
    let call: Call | undefined;
    const run = async (bounded: AbortSignal | undefined): Promise<ApiAnswer> => {
      call = new Call(request, { url, signal: bounded, clock });
      const answer = await this.#withRetries(call);
      this.#failingSince = undefined;
      return answer;
    };
    if (deadline === undefined || deadline === Infinity) return run(signal);
    try {
      return await this.#deadlines.run(deadline, run, { signal });
    } catch (error) {
      if (signal?.aborted || !(error instanceof DeadlineError)) throw error;
      // It spent its time waiting, with everybody or for its turn.
      if (call && (call.isHeld || call.sends === 0 || this.#rests())) throw this.#restsTooLong(call, error);
      const attempts = error.cause instanceof RequestError ? error.cause.attempts : 0;
      const facts = this.#facts(call ?? new Call(request, { url, signal, clock }), attempts);
      throw describeFailure(error, facts);
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
   * A failure that everybody waits for (a refusal of our pace, an outage) is no attempt: the request waits and is sent again.
   */
  async #withRetries(call: Call): Promise<ApiAnswer> {
    const { deadline, attempts = this.#options.retry.attempts } = call.request;
    for (;;) {
      try {
        return await retry(async (attempt) => this.#attempt(call, call.attempts + attempt), {
          ...this.#options.retry,
          attempts: Math.max(1, attempts - call.attempts),
          heldUp: () => call.heldMs,
          retryIf: (error) =>
            error instanceof RequestError &&
            error.retryable &&
            !(error.countsAgainstServer && this.#sender.failsForGood(call, error.attempts)),
          retryAfter: (error) => (error instanceof RequestError ? error.wait : undefined),
          onRetry: (attempt, error, delay) => this.#noteRetry(call, { attempt: call.attempts + attempt, error, delay }),
          deadline,
          clock: this.#clock,
          signal: call.signal,
        });
      } catch (error) {
        // An abort is the caller's own doing, and no failure of the API's.
        call.request.signal?.throwIfAborted();
        if (error instanceof RequestError) error.answeredOthers = this.#sender.failsAlone(call);
        const failure = askedToWait(error, call);
        if (!failure) throw error;
        call.attempts = failure.attempts - 1;
        await this.#waitAsAsked(call, failure);
      }
    }
  }

  /** The API asks one request for more patience than its retries have: worth it when all depends on it, or everybody waits. */
  async #waitAsAsked(call: Call, failure: RequestError): Promise<void> {
    const { signal, request } = call;
    const retryAt = this.#clock.now() + (failure.wait ?? 0);
    call.hold();
    this.#failingSince ??= this.#clock.now();
    if (!request.patient) {
      // Those in flight are answered the same when it is an outage, and then the breaker opens.
      const { p95 } = this.#tally.latencyMs();
      const linger = Math.min(Math.max(leastLinger, 2 * p95), longestLinger);
      await sleepUntil(this.#clock.now() + linger, { clock: this.#clock, signal });
      if (!this.#rests()) throw failure;
    }
    call.lastFailure = failure;
    if (retryAt > this.#patience(call)) throw this.#restsTooLong(call, failure);
    await sleepUntil(retryAt, { clock: this.#clock, signal });
  }

  async #attempt(call: Call, attempt: number): Promise<ApiAnswer> {
    const facts = this.#facts(call, attempt);
    const { key } = call.request;
    for (;;) {
      call.hold();
      if (this.#breaker.state !== 'closed') await this.#breakerReady(call, facts);
      try {
        return await this.#slots.run(async () => this.#sender.send(call, { facts, patience: this.#patience(call) }), {
          key,
          signal: call.signal,
        });
      } catch (error) {
        if (error instanceof BreakerOpenError || error instanceof RepeatAtOnce) continue;
        if (error instanceof SharedFailure) await this.#waitWithAll(call, error.failure);
        else throw this.#lastWord(error, call, facts);
      }
    }
  }

  /** What the caller gets. A token server that rests is an API that rests, for all who have nothing else to go by. */
  #lastWord(error: unknown, { request }: Call, facts: RequestFacts): unknown {
    if (error instanceof ApiRestsError) return error;
    if (error instanceof TokenRestsError && request.waitForBreaker !== false)
      return new ApiRestsError({ api: this.name, because: error.because, retryAt: error.retryAt, cause: error });
    return describeFailure(error, facts);
  }

  async #breakerReady(call: Call, facts: RequestFacts): Promise<void> {
    const { waitForBreaker, attempts = this.#options.retry.attempts } = call.request;
    try {
      await this.#breaker.whenReady({ deadline: this.#patience(call), signal: call.signal });
    } catch (error) {
      if (!(error instanceof BreakerOpenError) || waitForBreaker === false) throw describeFailure(error, facts);
      const { lastFailure } = call;
      // Asked as often as anyone may be: then it has its own answer, and is not asked first again by the next run.
      if (lastFailure && call.sends >= attempts)
        throw lastFailure.withNote(' (the circuit breaker is open)', call.sends);
      throw this.#restsTooLong(call, error);
    }
  }

  /** A refusal is waited for longer each time; an outage in the breaker. */
  async #waitWithAll(call: Call, failure: RequestError): Promise<void> {
    call.hold();
    this.#failingSince ??= this.#clock.now();
    call.lastFailure = failure;
    const { retry: options } = this.#options;
    const refused = failure.code === 'RATE_LIMITED';
    const backoff = refused ? backoffDelay({ ...options, retry: call.refusals }) : 0;
    const delay = Math.max(failure.wait ?? 0, backoff * (options.jitter ? this.#clock.random() : 1));
    const again = this.#clock.now() + delay;
    if (again > this.#patience(call)) throw this.#restsTooLong(call, failure);
    this.#noteRetry(call, { attempt: failure.attempts, error: failure, delay });
    await sleepUntil(again, { clock: this.#clock, signal: call.signal });
  }

  /**
   * Monotonic: how long an API that rests is waited for. Without a deadline not for ever; by those who have something else
   * to go by until the first trial after an outage.
   */
  #patience({ request, begunAt }: Call): number {
    if (request.waitForBreaker === false) {
      const firstTrial = begunAt + (this.#seemsDead ? 0 : this.#options.breaker.openFor);
      return Math.min(firstTrial, request.deadline ?? Infinity);
    }
    if (request.deadline !== undefined && request.deadline < Infinity) return request.deadline;
    return Math.max(this.#failingSince ?? this.#clock.now(), this.#limits.restsUntil) + downForGood;
  }

  /** Until when nothing is sent, on the monotonic clock, and why; undefined while requests are. */
  #rests(): { until: number; because: 'asked' | 'down' } | undefined {
    const now = this.#clock.now();
    if (this.#breaker.state !== 'closed') return { until: Math.max(now, this.#breaker.retryAt), because: 'down' };
    const until = this.#limits.restsUntil;
    return until > now ? { until, because: 'asked' } : this.#credentials.rests;
  }

  /** The same on the wall's clock. */
  #restNow(): Omit<Rest, 'api'> | undefined {
    const rests = this.#rests();
    return rests && { ...rests, until: this.#clock.wallNow() + rests.until - this.#clock.now() };
  }

  #restsTooLong({ lastFailure }: Call, cause: unknown): ApiRestsError {
    const now = this.#clock.now();
    const rests = this.#rests();
    const asked = lastFailure?.wait === undefined ? -Infinity : now + lastFailure.wait;
    const until = Math.max(rests?.until ?? -Infinity, asked);
    const last = lastFailure ? `, last with ${lastFailure.code}` : '';
    const because = rests?.because === 'down' ? `it seems to be down${last}` : `it asked for that${last}`;
    return new ApiRestsError({
      api: this.name,
      ...((rests || lastFailure) && { because }),
      retryAt: until > now ? this.#clock.wallNow() + until - now : undefined,
      cause,
    });
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

  /** Requests that wait because it rests. */
  get resting(): number {
    return this.#rests() ? this.#running : 0;
  }

  /** What has happened so far; a copy. */
  statistics(): ApiStatistics {
    const tally = this.#tally;
    const { settled } = this.#pace;
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
      concurrency: { limit: this.#slots.limit, peak: this.#slots.peak, ...(settled !== undefined && { settled }) },
      breaker: { opened: this.#breaker.opened, finalState: this.#breaker.state },
      inFlight: this.#slots.inUse,
      rests: this.#restNow(),
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
    await Promise.all([this.#pool.destroy(), this.#tokenServer.close()]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Milliseconds for which an answer that may be an outage's is waited for company. */
const leastLinger = 50;
const longestLinger = 1_000;

/** The failure of an attempt after which the API asks for more patience than the retries had, or all depends on it. */
function askedToWait(error: unknown, { request }: Call): RequestError | undefined {
  if (error instanceof RetryAbandonedError) return error.cause as RequestError;
  const asked = error instanceof RequestError && error.retryable && error.wait !== undefined;
  return asked && request.patient ? error : undefined;
}
