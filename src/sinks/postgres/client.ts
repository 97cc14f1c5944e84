import type { Socket } from 'node:net';
import pg from 'pg';
import { cannotConnect } from './unreachable-error.ts';

/** Milliseconds that a connection has to close in good order. */
const closeTimeoutMs = 5_000;

/** A client whose `end` ends although the server does not answer: an open socket would keep the process alive. */
export class Client extends pg.Client {
  override end(): Promise<void>;
  override end(callback: (error: Error) => void): void;
  override end(callback?: (error: Error) => void): Promise<void> | void {
    const socket = socketOf(this);
    const late = setTimeout(() => socket.destroy(), closeTimeoutMs).unref();
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

/** Asked by a client of its own, because pg's pool leaves the socket open when a password is missing. */
export async function serverOf(
  config: pg.ClientConfig,
  { description, signal }: { description: string; signal?: AbortSignal | undefined },
): Promise<ServerFacts> {
  const client = new Client(config);
  client.on('error', () => {});
  // Without this an abort would wait for a server that accepts the connection and never answers.
  const abort = (): void => void socketOf(client).destroy();
  signal?.addEventListener('abort', abort, { once: true });
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
    signal?.removeEventListener('abort', abort);
    await client.end().catch(() => undefined);
  }
}
