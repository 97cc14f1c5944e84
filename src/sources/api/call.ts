import type { Clock } from '../../resilience/clock.ts';
import type { Address } from '../http/api-address.ts';
import type { ApiRequest } from './api-request.ts';
import type { RequestError } from './request-error.ts';

/** One request to an API, however often it is sent. */
export class Call {
  readonly request: ApiRequest;
  readonly method: 'GET' | 'POST';
  readonly url: Address;
  /** Asking twice does no harm. */
  readonly repeatable: boolean;
  readonly signal: AbortSignal | undefined;
  /** Monotonic. */
  readonly begunAt: number;
  /** Attempts that count, before the ones that are being made. */
  attempts = 0;
  /** Good answers that the API had given when it failed first. */
  answersAtFailure: number | undefined;
  /** The codes it has failed with. */
  readonly codes = new Set<string>();
  /** How often it was written to a socket. */
  sends = 0;
  /** How often it failed while the API seemed to be down. */
  outages = 0;
  answersAtRefusal: number | undefined;
  goodAtFirstRefusal: number | undefined;
  /** How often it was refused as one too many. */
  refusals = 0;
  /** What it failed with last for its own sake. */
  latest: RequestError | undefined;
  /** What it was answered last, while that does not count as an attempt. */
  lastFailure: RequestError | undefined;
  /** The token was renewed after a 401; a second one is final. */
  renewed = false;
  /** A dead keep-alive connection was already made good for. */
  repeated = false;
  readonly #clock: Clock;
  #heldMs = 0;
  #heldSince: number | undefined;

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

  /** What tells it from other requests: repeats have the same. */
  get name(): string {
    const { body } = this.request;
    return body === undefined ? this.url.href : `${this.url.href} ${body}`;
  }

  /** Milliseconds for which our own limits and the API's rests have held it up so far. */
  get heldMs(): number {
    return this.#heldMs + (this.#heldSince === undefined ? 0 : this.#clock.now() - this.#heldSince);
  }

  /** It waits for something of ours, or with everybody, and is not on its way. */
  get isHeld(): boolean {
    return this.#heldSince !== undefined;
  }

  /** From now on it waits for something of ours. */
  hold(): void {
    this.#heldSince ??= this.#clock.now();
  }

  /** Nothing of ours holds it up any more: it goes to a socket. */
  go(): void {
    if (this.#heldSince === undefined) return;
    this.#heldMs += this.#clock.now() - this.#heldSince;
    this.#heldSince = undefined;
  }
}
