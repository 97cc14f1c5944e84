import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface TcpProxy extends AsyncDisposable {
  port: number;
  /** The target's address, reached through the proxy. */
  url: string;
  /** Connections that the server has not closed yet. PostgreSQL closes one as its process ends, all done or rolled back. */
  atServer(): number;
  /** Passes nothing on from now on, and leaves connections open: a black hole. */
  hold(): void;
  /** Passes on again what comes from now on; what was swallowed is lost. */
  resume(): void;
  /** Resets every connection now, both ways. */
  reset(): void;
  /** Takes one side of every connection away without the other side being told. */
  abandon(side: 'client' | 'server'): void;
  /** Cuts every connection now, as a network does that goes away. */
  cut(): void;
  /**
   * Cuts as soon as `matches` accepts bytes that go this way. The bytes that matched are passed on first when
   * `pass` says so, and the other end is left time to act on them; otherwise they are lost.
   */
  cutWhen(trap: Trap): void;
  /**
   * Resolves as soon as `matches` accepts bytes that go this way, with their connection standing still: what matched
   * was passed on when `pass` says so, else it is kept back, and nothing follows it either way. Other connections go on.
   * When the client goes away the server is told, unless `halfOpen`.
   */
  arrestWhen(trap: Trap & { halfOpen?: boolean }): Promise<Arrest>;
}

export interface Trap {
  direction: 'toServer' | 'toClient';
  /** Is shown all that goes this way, piece by piece, until it accepts one; connections are counted from 1. */
  matches: (bytes: Buffer, connection: number) => boolean;
  pass: boolean;
}

/** A connection that stands still. */
export interface Arrest {
  /** Passes on what was kept back, after which the connection stands still again. */
  deliver(): void;
  /** Tells the server that its client is gone. */
  close(): void;
}

export interface TcpProxyOptions {
  /** Milliseconds until bytes that came now are passed on; bytes of one connection never overtake each other. */
  delay?: () => number;
}

interface Connection {
  near: Socket;
  far: Socket;
  number: number;
  arrested: boolean;
  halfOpen: boolean;
  abandoned?: boolean;
}

type SetTrap = Trap & { spring: (bytes: Buffer, connection: Connection) => void };

/** Stands between a client and the server at `target`, a URL, and can be made to fail. */
export async function startTcpProxy(target: string, { delay }: TcpProxyOptions = {}): Promise<TcpProxy> {
  const address = new URL(target);
  const sockets = new Set<Socket>();
  const atServer = new Set<Socket>();
  let trap: SetTrap | undefined;
  let held = false;
  let connections = 0;
  const all = new Set<Connection>();
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  const server = createServer((near) => {
    const far = connect(Number(address.port), address.hostname);
    atServer.add(far);
    far.once('close', () => atServer.delete(far));
    connections += 1;
    const connection: Connection = { near, far, number: connections, arrested: false, halfOpen: false };
    all.add(connection);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    }
    const forward = (direction: Trap['direction'], from: Socket, to: Socket): void => {
      const later = delay ? inOrder(delay) : (act: () => void): void => act();
      from.on('data', (bytes) => {
        if (held || connection.arrested || connection.abandoned) return;
        if (trap?.direction !== direction || !trap.matches(bytes, connection.number)) {
          later(() => to.write(bytes));
          return;
        }
        const { spring } = trap;
        trap = undefined;
        spring(bytes, connection);
      });
      from.on('close', () => {
        if (!connection.abandoned && !(connection.halfOpen && from === near)) later(() => to.end());
      });
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
    atServer: () => atServer.size,
    hold() {
      held = true;
    },
    resume() {
      held = false;
    },
    reset() {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    abandon(side) {
      for (const connection of all) {
        connection.abandoned = true;
        connection[side === 'client' ? 'near' : 'far'].destroy();
      }
      all.clear();
    },
    cut,
    cutWhen(next) {
      const { pass, direction } = next;
      const spring = (bytes: Buffer, { near, far }: Connection): void => {
        if (!pass) cut();
        // The nearer side is gone first, so that no answer gets through.
        else
          (direction === 'toServer' ? far : near).write(bytes, () => (direction === 'toServer' ? near : far).destroy());
      };
      trap = { ...next, spring };
    },
    async arrestWhen({ halfOpen = false, ...next }) {
      return new Promise((resolve) => {
        const spring = (bytes: Buffer, connection: Connection): void => {
          Object.assign(connection, { arrested: true, halfOpen });
          const to = next.direction === 'toServer' ? connection.far : connection.near;
          const deliver = (): void => void to.write(bytes);
          const arrest: Arrest = { deliver, close: () => connection.far.end() };
          if (next.pass) to.write(bytes, () => resolve(arrest));
          else resolve(arrest);
        };
        trap = { ...next, spring };
      });
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
