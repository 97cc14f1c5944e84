import type { Socket } from 'node:net';

/** One exchange with the server that answers oddly. */
export interface OddExchange {
  socket: Socket;
  /** JSON that would have been right. */
  good: string;
  /** A server that must not be asked. */
  foreign: string;
}

/** What becomes of a night whose server gives an odd answer. */
export interface Outcome {
  /** Of the failure; `enriched` where the answer is taken as it is. */
  code: string;
  /** How often it is asked for. A kept-alive connection that died is made good for once each time, and not counted. */
  attempts: number;
}

/** An answer that a server should not give, or seldom gives, and what is made of it. */
export interface OddAnswer {
  /** For the table. */
  answer: string;
  send: (exchange: OddExchange) => void | Promise<void>;
  /** What becomes of a contract whose lookup is always answered so. */
  contract: Outcome;
  /** The same of the second page of three, where it is something else. `record CODE`: one record of the page fails. */
  listing?: string;
  /** As what the token server is understood: as one that has no time, refuses, or answers what no token server should. */
  token?: 'enriched' | 'busy' | 'refused' | 'odd';
  /** Slows everybody down or breaks connections: it gets a night of its own. */
  alone?: true;
  /** It ends when the client's patience does: its night has little. */
  slow?: true;
}

/** Three attempts in its turn, and one more as its second chance. */
export const again = 4;
export const once = 1;

/** `code` after as many attempts as that. */
export const fails = (code: string, attempts: number): Outcome => ({ code, attempts });
/** The answer is as good as any. */
export const taken: Outcome = { code: 'enriched', attempts: 1 };

type HeaderLines = readonly string[] | Readonly<Record<string, string>>;

/** The bytes of an answer; its length is told unless the headers tell it, or how it ends. */
export function answerBytes(
  status: number | string,
  { headers = {}, body = '', reason = 'Odd' }: { headers?: HeaderLines; body?: string | Buffer; reason?: string } = {},
): Buffer {
  const lines = Array.isArray(headers)
    ? [...headers]
    : Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  const has = (name: string): boolean => lines.some((line: string) => line.toLowerCase().startsWith(`${name}:`));
  if (!has('content-type')) lines.push('content-type: application/json');
  if (!has('content-length') && !has('transfer-encoding')) lines.push(`content-length: ${Buffer.byteLength(body)}`);
  return Buffer.concat([
    Buffer.from(`HTTP/1.1 ${status} ${reason}\r\n${lines.join('\r\n')}\r\n\r\n`, 'latin1'),
    Buffer.from(body),
  ]);
}

/** Sends an answer and keeps the connection. */
export const replies =
  (status: number, { headers, body }: { headers?: HeaderLines; body?: (good: string) => string | Buffer } = {}) =>
  ({ socket, good }: OddExchange): void =>
    void socket.write(
      answerBytes(status, { ...(headers && { headers }), body: body ? body(good) : `{"message":"odd ${status}"}` }),
    );

/** A 200 with this body. */
export const replies200 = (
  body: (good: string) => string | Buffer,
  headers?: HeaderLines,
): ((exchange: OddExchange) => void) => replies(200, { body, ...(headers && { headers }) });

/** Sends bytes as they are, and keeps the connection unless told how to end it. */
export const sends =
  (
    bytes: (good: string) => string | Buffer,
    ending: 'keep' | 'close' | 'half-close' | 'reset' = 'keep',
  ): ((exchange: OddExchange) => void) =>
  ({ socket, good }) => {
    const end = (): void => {
      if (ending === 'close') socket.destroySoon();
      else if (ending === 'half-close') socket.end();
      else if (ending === 'reset') socket.resetAndDestroy();
    };
    const all = bytes(good);
    if (all.length === 0) end();
    // A reset takes along what was not yet sent.
    else
      socket.write(typeof all === 'string' ? Buffer.from(all, 'latin1') : all, () =>
        setTimeout(end, ending === 'reset' ? 20 : 0),
      );
  };

/** Sends pieces one after the other, with a pause after each, for as long as there is somebody to send to. */
export const drips =
  (pieces: (good: string) => Iterable<string | Buffer>, pauseMs: number) =>
  async ({ socket, good }: OddExchange): Promise<void> => {
    for (const piece of pieces(good)) {
      if (socket.destroyed) return;
      socket.write(piece);
      await new Promise((resolve) => {
        setTimeout(resolve, pauseMs);
      });
    }
  };
