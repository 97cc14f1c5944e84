import type { OddAnswer } from './odd-answer.ts';

/** What a night comes to. */
export interface Expected {
  /** Of its failure; null where there is none. */
  code: string | null;
  exitCode: number;
  /** The same request is sent again, so that an odd answer that comes once does no harm. */
  askedAgain: boolean;
}

const good: Expected = { code: null, exitCode: 0, askedAgain: false };

/** When a page of the listing is always answered so. */
export function ofListing({ contract, listing = contract.code }: OddAnswer): Expected & { oneRecord: boolean } {
  if (listing === 'enriched') return { ...good, oneRecord: false };
  const [first = '', code] = listing.split(' ');
  if (code !== undefined) return { code, exitCode: 3, askedAgain: false, oneRecord: true };
  const askedAgain = contract.attempts > 1;
  // Whoever is told to slow down goes on asking for as long as there is time, and then stops in good order.
  return { code: first, exitCode: first === 'RATE_LIMITED' ? 6 : 1, askedAgain, oneRecord: false };
}

/** Of these the body is the fault, and another one may be better; any other refusal is the token server's last word. */
const lasting = /^(?:HTTP_[34]|HTTP_20|REDIRECT_REFUSED|CREDENTIALS_REJECTED|RESPONSE_HEADERS|RESPONSE_TOO_LARGE)/;

/** When the token server always answers so, from the start. */
export function ofToken({ contract, token = contract.code }: OddAnswer): Expected {
  if (token === 'enriched') return good;
  const isLasting = lasting.test(token) && token !== 'HTTP_408';
  const unavailable = !isLasting || token.startsWith('RESPONSE_');
  return {
    code: unavailable ? 'TOKEN_UNAVAILABLE' : 'CREDENTIALS_REJECTED',
    exitCode: isLasting ? 2 : 1,
    askedAgain: !isLasting,
  };
}
