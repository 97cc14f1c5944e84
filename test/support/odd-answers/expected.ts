import type { OddAnswer } from './odd-answer.ts';

/** What a night comes to. */
export interface Expected {
  /** Of its failure; null where there is none, or the night stops because the API rests. */
  code: string | null;
  exitCode: number;
  /** It is asked again, so that an odd answer that comes once does no harm. */
  askedAgain: boolean;
}

const good: Expected = { code: null, exitCode: 0, askedAgain: false };
/** Whoever is told to wait goes on asking for as long as there is time, and then stops in good order. */
const waits: Expected = { code: null, exitCode: 6, askedAgain: true };

/** When a page of the listing is always answered so. */
export function ofListing({ contract, listing = contract.code }: OddAnswer): Expected & { oneRecord: boolean } {
  const oneRecord = false;
  if (listing === 'enriched') return { ...good, oneRecord };
  if (listing === 'RATE_LIMITED') return { ...waits, oneRecord };
  const [first = '', code] = listing.split(' ');
  if (code !== undefined) return { code, exitCode: 3, askedAgain: false, oneRecord: true };
  return { code: first, exitCode: 1, askedAgain: contract.attempts > 1, oneRecord };
}

/** How a token server is understood that always answers so, from the start. */
export function ofToken({ contract, token = kindOf(contract.code) }: OddAnswer): Expected & { kind: string } {
  switch (token) {
    case 'enriched':
      return { ...good, kind: token };
    case 'busy':
      return { ...waits, kind: token };
    case 'refused':
      return { code: 'CREDENTIALS_REJECTED', exitCode: 2, askedAgain: false, kind: token };
    case 'odd': {
      const unread = /^RESPONSE_(?:HEADERS_)?TOO_LARGE$/.test(contract.code);
      return {
        code: unread ? 'TOKEN_UNAVAILABLE' : 'CREDENTIALS_REJECTED',
        exitCode: 2,
        askedAgain: true,
        kind: token,
      };
    }
  }
  return token satisfies never;
}

const passing =
  /^(?:HTTP_(?:408|[5-9]\d\d)|RATE_LIMITED|CONNECTION_\w+|TIMEOUT|RESPONSE_(?:NOT_HTTP|TRUNCATED|ENCODING_UNKNOWN))$/;

function kindOf(code: string): NonNullable<OddAnswer['token']> {
  if (code === 'enriched') return code;
  if (code === 'CREDENTIALS_REJECTED') return 'refused';
  return passing.test(code) ? 'busy' : 'odd';
}
