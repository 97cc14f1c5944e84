import { createServer, request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';

/**
 * A proxy that passes on to this machine whatever the host's name is: what comes through needs no name server. Keeps a
 * line for each request: `CONNECT api.example.test:443`, `GET http://api.example.test/a`.
 */
export class ForwardProxy implements AsyncDisposable {
  readonly log: string[] = [];
  /** `Proxy-Authorization` of each request. */
  readonly credentials: (string | undefined)[] = [];
  /** Answered with this status instead of being passed on; null: never answered at all. */
  refuseWith: number | null | undefined;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server = createServer();

  static async start(): Promise<ForwardProxy> {
    const proxy = new ForwardProxy();
    const server = proxy.#server;
    server.on('connection', (socket: Socket) => proxy.#keep(socket));
    server.on('connect', (request: IncomingMessage, socket: Socket) => {
      if (!proxy.#admits(request)) {
        if (proxy.refuseWith) socket.end(`HTTP/1.1 ${proxy.refuseWith} Refused\r\n\r\n`);
        return;
      }
      const port = Number(/:(\d+)$/.exec(request.url ?? '')?.[1]);
      const beyond = connect(port, '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        beyond.pipe(socket).pipe(beyond);
      });
      proxy.#keep(beyond);
    });
    server.on('request', (request, response) => {
      if (!proxy.#admits(request)) {
        if (proxy.refuseWith) response.writeHead(proxy.refuseWith).end();
        return;
      }
      const { port, pathname, search } = new URL(request.url ?? '');
      const { method, headers } = request;
      const passedOn = httpRequest({ port, host: '127.0.0.1', method, path: pathname + search, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      });
      passedOn.on('error', () => response.destroy());
      request.pipe(passedOn);
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy()).on('close', () => this.#sockets.delete(socket));
  }

  #admits({ method, url, headers }: IncomingMessage): boolean {
    this.log.push(`${method} ${url}`);
    this.credentials.push(headers['proxy-authorization']);
    return this.refuseWith === undefined;
  }
}
