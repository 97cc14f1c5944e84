import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { type CertificateName, pem } from './certificates.ts';

/** A request as it arrived. */
export interface RecordedRequest {
  method: string;
  /** Path and query. */
  url: string;
  headers: IncomingMessage['headers'];
  body: string;
  /** Monotonic milliseconds, when its head was here. */
  at: number;
  /** Counts the server's sockets from 1. */
  socket: number;
}

/** What the server does with one request: answers itself, or gives the JSON value or the parts of an answer. */
export type Script = (
  request: RecordedRequest,
  raw: { response: ServerResponse; socket: Socket },
) => ScriptedAnswer | undefined | void | Promise<ScriptedAnswer | undefined | void>;

export interface ScriptedAnswer {
  status?: number;
  headers?: Record<string, string | string[]>;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as it is. */
  body?: string | Buffer;
}

/** How a server proves who it is, and whether it wants to know that of whoever asks. */
export interface ServerTls {
  certificate: CertificateName;
  /** Takes only client certificates that `authority` issued; by TLS 1.2, which tells within the handshake. */
  asksClients?: boolean;
}

/** An HTTP server on a real socket that answers by a script and keeps every request. */
export class ScriptedServer implements AsyncDisposable {
  readonly requests: RecordedRequest[] = [];
  /** Sockets that were opened. */
  sockets = 0;
  /** The most requests that were being answered at once. */
  peak = 0;
  #running = 0;
  readonly #server: Server;
  readonly #numbers = new WeakMap<Socket, number>();
  #script: Script;

  readonly #scheme: 'http' | 'https';

  private constructor(script: Script, tls: ServerTls | undefined) {
    this.#script = script;
    this.#scheme = tls ? 'https' : 'http';
    const listener = (request: IncomingMessage, response: ServerResponse): void => {
      void this.#handle(request, response);
    };
    const options = { keepAliveTimeout: 60_000 };
    this.#server = tls ? createTlsServer({ ...options, ...serverTls(tls) }, listener) : createServer(options, listener);
    this.#server.on(tls ? 'secureConnection' : 'connection', (socket: Socket) => {
      this.sockets += 1;
      this.#numbers.set(socket, this.sockets);
    });
  }

  /** Listens on a free port of the loopback interface. */
  static async start(script: Script, { tls }: { tls?: ServerTls } = {}): Promise<ScriptedServer> {
    const server = new ScriptedServer(script, tls);
    await new Promise<void>((resolve) => {
      server.#server.listen(0, '127.0.0.1', resolve);
    });
    return server;
  }

  get origin(): string {
    return `${this.#scheme}://127.0.0.1:${this.port}`;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** What arrived, as `GET /path?query`. */
  get log(): string[] {
    return this.requests.map(({ method, url }) => `${method} ${url}`);
  }

  answerWith(script: Script): void {
    this.#script = script;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const at = performance.now();
    this.#running += 1;
    this.peak = Math.max(this.peak, this.#running);
    response.once('close', () => {
      this.#running -= 1;
    });
    const recorded: RecordedRequest = {
      method: request.method ?? '',
      url: request.url ?? '',
      headers: request.headers,
      body: '',
      at,
      socket: this.#numbers.get(request.socket) ?? 0,
    };
    this.requests.push(recorded);
    request.setEncoding('utf8');
    try {
      for await (const chunk of request) recorded.body += String(chunk);
    } catch {
      // The client went away before its body was here; there is nobody to answer.
      return;
    }
    const answer = await this.#script(recorded, { response, socket: request.socket });
    if (!answer) return;
    const body = answer.body ?? JSON.stringify(answer.json);
    const type = answer.body === undefined ? { 'content-type': 'application/json' } : {};
    response.writeHead(answer.status ?? 200, { ...type, ...answer.headers }).end(body);
  }
}

function serverTls({ certificate, asksClients = false }: ServerTls) {
  return {
    cert: pem(certificate),
    key: pem(certificate, 'key'),
    ...(asksClients && {
      ca: pem('authority'),
      requestCert: true,
      rejectUnauthorized: true,
      maxVersion: 'TLSv1.2' as const,
    }),
  };
}
