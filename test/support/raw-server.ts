import { createServer, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';

/** A request as it arrived. */
export interface RawRequest {
  method: string;
  /** Path and query. */
  url: string;
  headers: Readonly<Record<string, string>>;
  body: string;
  /** Monotonic milliseconds, when all of it was here. */
  at: number;
}

/** Answers one request with whatever bytes it likes, or never. */
export type RawScript = (request: RawRequest, socket: Socket) => void | Promise<void>;

/**
 * A server that reads HTTP/1.1 requests and leaves every byte of the answer to its script, for answers that node:http
 * would not send. Requests of one socket are answered in turn.
 */
export class RawServer implements AsyncDisposable {
  readonly requests: RawRequest[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #script: RawScript;

  private constructor(script: RawScript, onConnection: ((socket: Socket) => void) | undefined) {
    this.#script = script;
    this.#server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      // The client breaks off what it does not like.
      socket.on('error', () => socket.destroy());
      socket.on('end', () => socket.end());
      onConnection?.(socket);
      this.#read(socket);
    });
  }

  /** Listens on a free port of the loopback interface; `onConnection` is told of each socket before anything is read. */
  static async start(script: RawScript, onConnection?: (socket: Socket) => void): Promise<RawServer> {
    const server = new RawServer(script, onConnection);
    await new Promise<void>((resolve) => {
      server.#server.listen(0, '127.0.0.1', resolve);
    });
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }

  #read(socket: Socket): void {
    let unread = '';
    let answering = Promise.resolve();
    socket.setEncoding('latin1').on('data', (text: string) => {
      unread += text;
      for (let found = firstRequest(unread); found; found = firstRequest(unread)) {
        unread = unread.slice(found.length);
        const { request } = found;
        this.requests.push(request);
        answering = answering.then(async () => {
          if (!socket.destroyed) await this.#script(request, socket);
        });
      }
    });
  }
}

/** The first request in `text`, when all of it is here, and how long it is. */
function firstRequest(text: string): { request: RawRequest; length: number } | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [start = '', ...lines] = text.slice(0, end).split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  );
  const length = end + 4 + Number(headers['content-length'] ?? 0);
  if (text.length < length) return undefined;
  const [method = '', url = ''] = start.split(' ');
  return { request: { method, url, headers, body: text.slice(end + 4, length), at: performance.now() }, length };
}
