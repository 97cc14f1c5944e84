import type { ServerResponse } from 'node:http';
import type { Fault } from './faults.ts';

const json = 'application/json; charset=utf-8';
const errorPage = '<!doctype html><html><body><h1>502 Bad Gateway</h1><p>upstream is down</p></body></html>';
const dripEvery = 250; // ms

export interface Answer {
  status: number;
  body: string;
  contentType?: string;
  /** Seconds. */
  retryAfter?: number;
}

export function send(response: ServerResponse, { status, body, contentType = json, retryAfter }: Answer): void {
  const headers = ['content-type', contentType, 'content-length', String(Buffer.byteLength(body))];
  if (retryAfter !== undefined) headers.push('retry-after', String(retryAfter));
  response.writeHead(status, headers);
  response.end(body);
}

/** The answer that a fault makes of a good one; undefined where the fault acts on the connection instead. */
export function faultyAnswer(fault: Fault, good: Answer, draw: number): Answer | undefined {
  switch (fault) {
    case 'dead':
      return { status: 500, body: '{"error":"this record cannot be read"}' };
    case 'missing':
      return { status: 404, body: '{"error":"there is no such record"}' };
    case 'flaky':
      return draw % 2 === 0
        ? { status: 500, body: '{"error":"something went wrong"}' }
        : { status: 503, body: '{"error":"busy, ask again"}' };
    case 'malformed':
      return { status: 200, body: `${good.body.slice(0, -1)},]` };
    case 'html':
      return { status: 200, body: errorPage, contentType: 'text/html; charset=utf-8' };
    case 'slow':
      return good;
    case 'hanging':
    case 'truncated':
    case 'reset':
    case 'dripping':
      return undefined;
  }
}

/** Does to the connection what the fault asks for; its timers end with the connection. */
export function misbehave(response: ServerResponse, fault: Fault, good: Answer): void {
  const { socket } = response;
  if (!socket) return;
  if (fault === 'truncated') {
    const bytes = Buffer.from(good.body);
    response.writeHead(200, ['content-type', json, 'content-length', String(bytes.length)]);
    response.write(bytes.subarray(0, bytes.length >> 1));
    socket.destroySoon();
  } else if (fault === 'reset') {
    socket.resetAndDestroy();
  } else if (fault === 'dripping') {
    response.writeHead(200, ['content-type', json]);
    response.write('{');
    const drip = setInterval(() => response.write(' '), dripEvery);
    response.once('close', () => clearInterval(drip));
  }
}
