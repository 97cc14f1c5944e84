import { retryAfter } from '../../resilience/retry-after.ts';
import { type Json, isExactNumber, numberText, parseExactJson } from '../json/exact-json.ts';
import { getPath } from '../json/json-path.ts';
import { TokenFailure } from './token-failure.ts';
import type { TokenAnswer } from './token-server.ts';

/** A token that a header can carry. */
const sendable = /^[\x21-\x7e]+$/;

/** Error words, of RFC 6749 and of servers, that do not mean wrong credentials. */
const temporaryErrors = new Set(['temporarily_unavailable', 'server_error', 'slow_down']);

/** The token and its lifetime in milliseconds (Infinity when not stated). Throws TokenFailure. */
export function readToken(
  { status, headers, text }: TokenAnswer,
  { api, wallNow }: { api: string; wallNow: number },
): { value: string; lifetime: number } {
  const answer = parsed(text);
  const value = getPath(answer, ['access_token']);
  if (status >= 200 && status < 300 && typeof value === 'string' && sendable.test(value))
    return { value, lifetime: milliseconds(getPath(answer, ['expires_in'])) };
  // RFC 6749, 5.2: the error is one of a few words. Nothing else of the body is shown, because it might repeat the secret.
  const found = getPath(answer, ['error']);
  const word = typeof found === 'string' && /^[a-z_]{1,40}$/.test(found) ? found : undefined;
  const said = `the token server of API "${api}" answered ${status}${word === undefined ? '' : ` (${word})`}`;
  if (status === 408 || status === 425 || status === 429 || status >= 500 || (word && temporaryErrors.has(word))) {
    const wait = retryAfter(headers, { wallNow, resets: true });
    throw new TokenFailure({
      kind: 'busy',
      code: 'TOKEN_UNAVAILABLE',
      class: 'transient',
      message: `${said} instead of giving a token`,
      wait,
    });
  }
  throw new TokenFailure({
    // Without an error word it may be a gateway's temporary page, except for a plain 401.
    kind: word !== undefined || status === 401 ? 'refused' : 'odd',
    code: 'CREDENTIALS_REJECTED',
    class: 'config',
    message: `${said} and gave no token; check tokenUrl, clientId, clientSecret and scope`,
  });
}

function parsed(text: string): Json | undefined {
  try {
    // Some servers send a byte order mark, which is not JSON.
    return parseExactJson(text.replace(/^\ufeff/, ''));
  } catch {
    return undefined;
  }
}

/** `expires_in` is in seconds; some servers send the number as a string. */
function milliseconds(value: Json | undefined): number {
  const number = isExactNumber(value) ? Number(numberText(value)) : typeof value === 'string' ? Number(value) : NaN;
  return number > 0 ? number * 1000 : Infinity;
}
