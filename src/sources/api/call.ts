import type { Clock } from '../../resilience/clock.ts';
import type { Address } from '../http/api-address.ts';
import type { ApiRequest } from './api-request.ts';
import type { RequestError } from './request-error.ts';

/** One request to an API, however often it is sent. */
export class Call {
  readonly request: ApiRequest;
  readonly method: 'GET' | 'POST';
  readonly url: Address;
  /** The request may be sent twice without harm. */
  readonly repeatable: boolean;
  readonly signal: AbortSignal | undefined;
  /** Monotonic. */
  readonly begunAt: number;
  /** Counted attempts before the current round of `retry`. */
  attempts = 0;
  /** The API's number of good answers when this request first failed. */
  answersAtFailure: number | undefined;
  /** The codes of its failures. */
  readonly codes = new Set<string>();
  /** How often it was written to a socket. */
  sends = 0;
  /** How often it failed in an outage of the API. */
  outages = 0;
  answersAtRefusal: number | undefined;
  goodAtFirstRefusal: number | undefined;
  /** How often it was refused as too many requests. */
  refusals = 0;
  /** Its latest failure that counts as an attempt. */
  ownFailure: RequestError | undefined;
  /** Its latest failure that all requests wait for, and that does not count as an attempt. */
  sharedFailure: RequestError | undefined;
  /** The token was renewed after a 401; a second 401 is final. */
  tokenRenewed = false;
  /** It was resent after a keep-alive connection was closed; a second time counts as a failure. */
  resent = false;
  readonly #clock: Clock;
  #waitedMs = 0;
  #waitingSince: number | undefined;

  constructor(
    request: ApiRequest,
    { url, signal, clock }: { url: Address; signal: AbortSignal | undefined; clock: Clock },
  ) {
    this.request = request;
    this.method = request.method ?? 'GET';
    this.url = url;
    this.repeatable = request.repeatable ?? this.method === 'GET';
    this.signal = signal;
    this.begunAt = clock.now();
    this.#clock = clock;
  }

  /** Identifies the request; repeats have the same name. */
  get name(): string {
    const { body } = this.request;
    return body === undefined ? this.url.href : `${this.url.href} ${body}`;
  }

  /** Milliseconds it has waited so far for our own limits and the API's rests. */
  get waitedMs(): number {
    return this.#waitedMs + (this.#waitingSince === undefined ? 0 : this.#clock.now() - this.#waitingSince);
  }

  /** Whether it waits for our limits or the API's rests, and is not being sent. */
  get isWaiting(): boolean {
    return this.#waitingSince !== undefined;
  }

  /** From now on it waits. */
  startWaiting(): void {
    this.#waitingSince ??= this.#clock.now();
  }

  /** All waits are over: it is sent now. */
  startSending(): void {
    if (this.#waitingSince === undefined) return;
    this.#waitedMs += this.#clock.now() - this.#waitingSince;
    this.#waitingSince = undefined;
  }
}
