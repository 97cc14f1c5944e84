import { CircuitBreaker } from '../../resilience/circuit-breaker.ts';
import { type Clock, systemClock } from '../../resilience/clock.ts';
import { DeadlineError } from '../../resilience/deadline.ts';
import { NightfillError } from '../../resilience/failure.ts';
import type { Quota } from '../../resilience/quota.ts';
import { SharedDeadlines } from '../../resilience/shared-deadlines.ts';
import { ApiAddress } from '../http/api-address.ts';
import { ApiLimits } from './api-limits.ts';
import type { ApiOptions } from './api-options.ts';
import type { ApiAnswer, ApiHooks, ApiRequest, OnRest } from './api-request.ts';
import { type ApiStatistics, ApiCounters } from './api-statistics.ts';
import { RestRequests } from './rest-requests.ts';
import { Asker } from './asker.ts';
import { createCredentials } from '../auth/auth.ts';
import { Call } from './call.ts';
import { type Connections, openConnections } from '../http/connections.ts';
import type { Credentials } from '../auth/credentials.ts';
import type { RequestFacts } from './describe-failure.ts';
import { Pace } from './pace.ts';
import { CredentialRefusals } from './credential-refusals.ts';
import { RequestError } from './request-error.ts';
import { Rests } from './rests.ts';
import { Sender } from './sender.ts';
import { Slots } from './slots.ts';
import { type TokenRequestCounter, TokenServer } from '../auth/token-server.ts';

export { RequestError } from './request-error.ts';
export type { ApiAnswer, ApiHooks, ApiRequest, RetryInfo } from './api-request.ts';
export type { ApiStatistics } from './api-statistics.ts';

/** One API: its sockets, limits, breaker, retries and credentials. Shared by all callers. */
export class Api implements AsyncDisposable {
  readonly name: string;
  readonly #options: ApiOptions;
  readonly #clock: Clock;
  readonly #address: ApiAddress;
  readonly #pool: Connections;
  readonly #slots: Slots;
  readonly #limits: ApiLimits;
  readonly #breaker: CircuitBreaker;
  readonly #pace: Pace;
  readonly #rests: Rests;
  readonly #asker: Asker;
  readonly #deadlines: SharedDeadlines;
  readonly #tokenServer: TokenServer;
  readonly #credentials: Credentials;
  readonly #refusals = new CredentialRefusals();
  readonly #counters = new ApiCounters();
  #running = 0;
  #idle: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: ApiOptions, { clock = systemClock, ...hooks }: ApiHooks & { clock?: Clock } = {}) {
    this.name = options.name;
    this.#options = options;
    this.#clock = clock;
    const onRest: OnRest = (rest) => hooks.onRest?.({ api: options.name, ...rest });
    this.#address = new ApiAddress(options);
    this.#tokenServer = this.#openTokenServer();
    this.#credentials = createCredentials(options.auth, {
      api: options.name,
      sendForm: async (url, form, signal) => this.#tokenServer.sendForm(url, form, signal),
      retry: options.retry,
      onRest,
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
    this.#breaker = this.#createBreaker(onRest);
    this.#pace = new Pace({ concurrency: this.#slots.adaptive, window: this.#limits.window });
    const credentials = this.#credentials;
    const restRequests = new RestRequests();
    const [breaker, limits, counters] = [this.#breaker, this.#limits, this.#counters];
    this.#rests = new Rests({
      options,
      clock,
      breaker,
      limits,
      credentials,
      onRest,
    });
    this.#asker = new Asker({
      options,
      clock,
      breaker,
      counters,
      slots: this.#slots,
      rests: this.#rests,
      restRequests,
      sender: new Sender({
        options,
        clock,
        breaker,
        limits,
        credentials,
        counters,
        pool: this.#pool,
        pace: this.#pace,
        restRequests,
        refusals: this.#refusals,
      }),
      onRetry: hooks.onRetry,
      factsOf: (call, attempt) => this.#facts(call, attempt),
    });
  }

  #createBreaker(onRest: OnRest): CircuitBreaker {
    return new CircuitBreaker({
      ...this.#options.breaker,
      onStateChange: (from, to) => {
        if (to === 'closed') this.#rests.trialsFailed = false;
        else if (from === 'half-open' && to === 'open') this.#rests.trialsFailed = true;
        const rest = from === 'closed' && this.#rests.onWallClock;
        if (rest) onRest(rest);
      },
      clock: this.#clock,
      countIf: (error) => error instanceof RequestError && error.countsAgainstServer,
      answered: (error) => error instanceof RequestError && error.httpStatus !== undefined,
      retryAfter: (error) => (error instanceof RequestError ? error.wait : undefined),
    });
  }

  /** Token requests to the API's own origin take its permits and count as its requests. */
  #openTokenServer(): TokenServer {
    const { name: api, auth, timeout, tls, tokenProxy: proxy } = this.#options;
    const isOwn = auth.type === 'oauth2' && new URL(auth.tokenUrl).origin === this.#address.origin;
    const counter: TokenRequestCounter = {
      permit: async (signal) => this.#limits.permit({ lane: 'token', signal, deadline: () => Infinity }),
      written: () => {
        this.quota?.spend();
        this.#counters.written(this.#clock.now());
      },
      answered: (status, latencyMs) => this.#counters.answered(status, latencyMs),
    };
    // A client certificate is a credential, so it is sent to the API's own origin only.
    const connections = { proxy, ...(isOwn && { tls }) };
    return new TokenServer({ api, timeout, clock: this.#clock, connections, ...(isOwn && { counter }) });
  }

  /** Scheme, host and port: the only origin that gets its credentials. */
  get origin(): string {
    return this.#address.origin;
  }

  /** Counts what is sent; checked before work is started. */
  get quota(): Quota | undefined {
    return this.#limits.quota;
  }

  /** The address of a path below `baseUrl`; `query` values are encoded here. Throws PATH_NOT_ALLOWED. */
  resolveUrl(path: string, query: Record<string, string>): string {
    return this.#address.resolve(path, query);
  }

  /**
   * Sends the request, with retries, and gives the JSON answer. Throws RequestError; ApiRestsError when all requests have
   * to wait longer than the deadline allows; or the signal's reason when the caller aborted.
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
      const answer = await this.#asker.ask(call);
      this.#rests.noteSuccess();
      return answer;
    };
    if (deadline === undefined || deadline === Infinity) return run(signal);
    try {
      return await this.#deadlines.run(deadline, run, { signal });
    } catch (error) {
      if (signal?.aborted || !(error instanceof DeadlineError)) throw error;
      // It was waiting, with all requests or for its turn, or its first attempt was still running.
      if (!call || call.isWaiting || !call.ownFailure || this.#rests.now) throw this.#rests.errorFor(call, error);
      throw call.ownFailure.withNote(' (the deadline came before the next attempt)');
    }
  }

  #facts({ method, url, repeatable, request }: Call, attempt: number): RequestFacts {
    const redact = (text: string): string => this.#credentials.redact(text);
    const { hasAnswered } = this.#counters;
    const refusesAll = (): boolean =>
      this.#refusals.refused(url.pathname + url.search, { failedBefore: request.failedBefore ?? false });
    return { api: this.name, method, url, attempt, repeatable, hasAnswered, refusesAll, redact, clock: this.#clock };
  }

  /** The run stops: from now on requests hardly wait for a rest to end, and are not sent when they would have to. */
  stopWaiting(): void {
    this.#rests.stopping = true;
    this.#limits.recheckWaiters();
  }

  /** Number of requests that wait because the API rests. */
  get resting(): number {
    return this.#rests.now ? this.#running : 0;
  }

  /** A copy of the figures so far. */
  statistics(): ApiStatistics {
    const counters = this.#counters;
    const { settled } = this.#pace;
    return {
      name: this.name,
      requests: counters.requests,
      retries: counters.retries,
      timeouts: counters.timeouts,
      statuses: { ...counters.statuses },
      rateLimited: counters.rateLimited,
      waitedMs: Math.round(this.#limits.waitedMs),
      latencyMs: counters.latencyMs(),
      rates: this.#limits.peaks(),
      concurrency: { limit: this.#slots.limit, peak: this.#slots.peak, ...(settled !== undefined && { settled }) },
      breaker: { opened: this.#breaker.opened, finalState: this.#breaker.state },
      inFlight: this.#slots.inUse,
      rests: this.#rests.onWallClock,
      currentRate: counters.currentRate(this.#clock.now()),
    };
  }

  /** Monotonic: the earliest time at which the rates allow the last of `requests` more (at least 1). */
  soonestSent(requests: number): number {
    return this.#limits.soonestSent(requests);
  }

  /** Waits for running requests, then closes the sockets. A second call waits for the same close. */
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
