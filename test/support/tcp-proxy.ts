import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface TcpProxy extends AsyncDisposable {
  port: number;
  /** The target's address, reached through the proxy. */
  url: string;
  /** Passes nothing on from now on, and leaves connections open. */
  hold(): void;
  /** Cuts every connection now, as a network does that goes away. */
  cut(): void;
  /**
   * Cuts as soon as `matches` accepts bytes that go this way. The bytes that matched are passed on first when
   * `pass` says so, and the other end is left time to act on them; otherwise they are lost.
   */
  cutWhen(o: { direction: 'toServer' | 'toClient'; matches: (bytes: Buffer) => boolean; pass: boolean }): void;
}

type Trap = Parameters<TcpProxy['cutWhen']>[0];

export interface TcpProxyOptions {
  /** Milliseconds until bytes that came now are passed on; bytes of one connection never overtake each other. */
  delay?: () => number;
}

/** Stands between a client and the server at `target`, a URL, and can be made to fail. */
export async function startTcpProxy(target: string, { delay }: TcpProxyOptions = {}): Promise<TcpProxy> {
  const address = new URL(target);
  const sockets = new Set<Socket>();
  let trap: Trap | undefined;
  let held = false;
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const server = createServer((near) => {
    const far = connect(Number(address.port), address.hostname);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    }
    const forward = (direction: Trap['direction'], from: Socket, to: Socket): void => {
      const later = delay ? inOrder(delay) : (act: () => void): void => act();
      from.on('data', (bytes) => {
        if (held) return;
        if (trap?.direction !== direction || !trap.matches(bytes)) {
          later(() => to.write(bytes));
          return;
        }
        const { pass } = trap;
        trap = undefined;
        if (!pass) cut();
        // The nearer side is gone first, so that no answer gets through.
        else to.write(bytes, () => (from === near ? near : far).destroy());
      });
      from.on('close', () => later(() => to.end()));
    };
    forward('toServer', near, far);
    forward('toClient', far, near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const own = new URL(target);
  own.hostname = '127.0.0.1';
  own.port = String(port);
  return {
    port,
    url: own.href,
    hold() {
      held = true;
    },
    cut,
    cutWhen(next) {
      trap = next;
    },
    async [Symbol.asyncDispose]() {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Does each act after its own delay, yet never before those that came earlier. */
function inOrder(delay: () => number): (act: () => void) => void {
  const acts: (() => void)[] = [];
  let due = 0;
  return (act) => {
    acts.push(act);
    const now = performance.now();
    due = Math.max(due, now + delay());
    // Whichever timer rings first does the first act: timers that are due together ring in any order.
    setTimeout(() => acts.shift()?.(), due - now);
  };
}
