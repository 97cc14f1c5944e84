import type { Socket } from 'node:net';
import pg from 'pg';
import { cannotConnect } from './unreachable-error.ts';

/** How long a connection has to say goodbye, in milliseconds. */
const farewellMs = 5_000;

/** Goodbye to a server that does not answer ends as well: its open socket would keep the process alive. */
export class Client extends pg.Client {
  override end(): Promise<void>;
  override end(callback: (error: Error) => void): void;
  override end(callback?: (error: Error) => void): Promise<void> | void {
    const socket = socketOf(this);
    const late = setTimeout(() => socket.destroy(), farewellMs).unref();
    socket.once('close', () => clearTimeout(late));
    return callback ? super.end(callback) : super.end();
  }
}

// Public in pg, and missing in its types.
export const socketOf = (client: pg.ClientBase): Socket =>
  (client as unknown as { connection: { stream: Socket } }).connection.stream;

export interface ServerFacts {
  /** For example 180004. */
  serverVersion: number;
  /** A standby, or a role or database whose transactions are read-only. */
  readOnly: boolean;
  /** Of transactions that do not name their own: `read committed`, unless the role or the database says otherwise. */
  defaultIsolation: string;
}

/** Asked by a client of its own: when a password is missing, pg's pool would forget its client and leave the socket open. */
export async function serverOf(
  config: pg.ClientConfig,
  { description, signal }: { description: string; signal?: AbortSignal | undefined },
): Promise<ServerFacts> {
  const client = new Client(config);
  client.on('error', () => {});
  // A server that takes the connection and says nothing would hold whoever is told to stop.
  const giveUp = (): void => void socketOf(client).destroy();
  signal?.addEventListener('abort', giveUp, { once: true });
  try {
    await client.connect();
    const { rows } = await client.query<ServerFacts>(
      `SELECT current_setting('server_version_num')::integer AS "serverVersion",
         current_setting('transaction_read_only')::boolean AS "readOnly",
         current_setting('default_transaction_isolation') AS "defaultIsolation"`,
    );
    return rows[0]!;
  } catch (error) {
    throw cannotConnect(error, description);
  } finally {
    signal?.removeEventListener('abort', giveUp);
    await client.end().catch(() => undefined);
  }
}
