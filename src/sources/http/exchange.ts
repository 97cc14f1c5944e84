// oxlint-disable-next-line no-restricted-imports -- the attempt's TimeLimit bounds the whole exchange
import { Client, type Dispatcher, Pool } from 'undici';
import { offAbort, onAbort } from '../../resilience/on-abort.ts';
import type { TimeLimit, Timing } from '../../resilience/time-limit.ts';
import { TimeoutError } from '../../resilience/timeout.ts';

export type AnswerHeaders = Record<string, string | string[] | undefined>;

/** The answer as received, still compressed. */
export interface WireAnswer {
  status: number;
  headers: AnswerHeaders;
  body: Buffer;
}

export interface WireRequest {
  method: 'GET' | 'POST';
  /** Path and query. */
  path: string;
  headers: Record<string, string>;
  body?: string | undefined;
}

interface ExchangeOptions {
  signal?: AbortSignal | undefined;
  /** Runs from now until the answer's last byte, including the wait for a socket. */
  timeLimit?: TimeLimit;
  /** Compressed bytes; the socket is destroyed as soon as one more arrives. */
  maxBytes: number;
  /** Called when the request is written to its socket; not called if it never gets one. */
  onWritten?: () => void;
  /** Called when the answer's status and headers have arrived. */
  onAnswered?: () => void;
}

/** An exchange that ended without a complete answer, and how far it got. */
export class ExchangeError extends Error {
  readonly written: boolean;
  readonly answered: boolean;
  /** The socket had served an earlier request, so the server may just have closed it as idle. */
  readonly reusedSocket: boolean;

  constructor(cause: unknown, state: { written: boolean; answered: boolean; reusedSocket: boolean }) {
    super('the exchange ended without a complete answer', { cause });
    this.name = 'ExchangeError';
    this.written = state.written;
    this.answered = state.answered;
    this.reusedSocket = state.reusedSocket;
  }
}

/** The answer is longer than `maxBytes`. */
export class AnswerTooLargeError extends Error {}

/** One HTTP/1.1 connection that knows whether its socket has served a request before. */
class Connection extends Client {
  used = false;

  constructor(origin: URL, options: Client.Options) {
    super(origin, options);
    this.on('connect', () => {
      this.used = false;
    });
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if (handler instanceof Exchange) handler.connection = this;
    return super.dispatch(options, handler);
  }
}

/** The sockets of one API: HTTP/1.1 without pipelining, so that `connections` limits them; no redirects. */
export function openPool(
  origin: string,
  {
    connections,
    connectTimeout,
    ...own
  }: {
    connections: number;
    connectTimeout: number;
    /** TLS settings (authorities, a client certificate), or a function that opens the socket. */
    connect?: NonNullable<Pool.Options['connect']>;
  },
): Pool {
  return new Pool(origin, {
    ...own,
    connections,
    connectTimeout,
    // With HTTP/2 all requests would share one socket, and `connections` would limit nothing.
    allowH2: false,
    pipelining: 1,
    // Shorter than the idle timeout of common load balancers, so that we close first.
    keepAliveTimeout: 4_000,
    keepAliveMaxTimeout: 4_000,
    autoSelectFamily: true,
    // The attempt's timeout covers the whole exchange; each of undici's two covers only a part.
    headersTimeout: 0,
    bodyTimeout: 0,
    factory: (url, options) => new Connection(url, options),
  });
}

/**
 * Sends one request and gives the complete answer. Reads every byte or destroys the socket, also on abort.
 * Throws the signal's reason, `TimeoutError`, `AnswerTooLargeError`, or `ExchangeError` around undici's error.
 */
export async function exchange(
  pool: Pick<Dispatcher, 'dispatch'>,
  request: WireRequest,
  options: ExchangeOptions,
): Promise<WireAnswer> {
  options.signal?.throwIfAborted();
  return new Promise<WireAnswer>((resolve, reject) => {
    const handler = new Exchange(options, resolve, reject);
    pool.dispatch({ ...request, body: request.body ?? null, idempotent: true }, handler);
  });
}

/** Not undici's `request()`, because it costs more and does not tell when the request is written, as rate windows need. */
class Exchange implements Dispatcher.DispatchHandler {
  connection: Connection | undefined;
  readonly #options: ExchangeOptions;
  readonly #resolve: (answer: WireAnswer) => void;
  readonly #reject: (error: unknown) => void;
  readonly #onAbort = (reason: unknown): void => this.#abort(reason);
  readonly #timing: Timing | undefined;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #controller: Dispatcher.DispatchController | undefined;
  #status = 0;
  #headers: AnswerHeaders = {};
  #reusedSocket = false;
  #abortReason: { error: unknown } | undefined;

  constructor(options: ExchangeOptions, resolve: (answer: WireAnswer) => void, reject: (error: unknown) => void) {
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
    const { signal, timeLimit } = options;
    if (signal) onAbort(signal, this.#onAbort);
    this.#timing = timeLimit?.start(() => this.#abort(new TimeoutError({ timeout: timeLimit.ms })));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#abortReason) {
      // Aborted while waiting for a socket, so it must not be written.
      controller.abort(new Error('aborted'));
      return;
    }
    if (this.connection) {
      this.#reusedSocket = this.connection.used;
      this.connection.used = true;
    }
    this.#callBack(this.#options.onWritten);
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: AnswerHeaders): void {
    // Ignore interim answers (100, 103).
    if (status < 200) return;
    this.#status = status;
    this.#headers = headers;
    this.#callBack(this.#options.onAnswered);
    if (Number(headers['content-length']) > this.#options.maxBytes) this.#abort(new AnswerTooLargeError());
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#options.maxBytes) this.#abort(new AnswerTooLargeError());
    else this.#chunks.push(chunk);
  }

  onResponseEnd(): void {
    this.#settle();
    const [first] = this.#chunks;
    const body = first && this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks, this.#bytes);
    this.#resolve({ status: this.#status, headers: this.#headers, body });
  }

  onResponseError(_controller: Dispatcher.DispatchController | undefined, error: Error): void {
    this.#settle();
    this.#reject(
      this.#abortReason
        ? this.#abortReason.error
        : new ExchangeError(error, {
            written: this.#controller !== undefined,
            answered: this.#status !== 0,
            reusedSocket: this.#reusedSocket,
          }),
    );
  }

  /** Rethrows a callback's error unchanged, because it is a programming error and not a fault of the connection. */
  #callBack(callback: (() => void) | undefined): void {
    try {
      callback?.();
    } catch (error) {
      this.#abort(error);
    }
  }

  #abort(error: unknown): void {
    this.#abortReason ??= { error };
    if (this.#controller) {
      this.#controller.abort(new Error('aborted'));
    } else {
      // Undici would report the abort only once a socket is free.
      this.#settle();
      this.#reject(error);
    }
  }

  #settle(): void {
    const { signal, timeLimit } = this.#options;
    if (signal) offAbort(signal, this.#onAbort);
    if (this.#timing) timeLimit?.stop(this.#timing);
  }
}
