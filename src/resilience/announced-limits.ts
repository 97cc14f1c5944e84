import { type AnswerHeaders, headerText, serverTime, untilReset } from './server-time.ts';

/** The limits that an answer announces. */
export interface AnnouncedLimits {
  /** At most `requests` in a window of `per` milliseconds. */
  limits: { requests: number; per: number }[];
  /** Milliseconds until an exhausted limit renews; 0 when none is exhausted. */
  wait: number;
}

/** A limit announced without the length of its window, which is at least the time to its reset. */
interface Counter {
  limit?: string | undefined;
  remaining?: string | undefined;
  reset?: string | undefined;
}

/** Milliseconds: some servers round the time to the reset down to seconds. */
const rounding = 1000;

/**
 * Reads the `RateLimit` and `RateLimit-Policy` fields of draft-ietf-httpapi-ratelimit-headers (-08 to -11), their older
 * forms (three fields up to -06, one with `limit=, remaining=, reset=` in -07), and `X-RateLimit-Limit/-Remaining/-Reset`.
 * Undefined when there are none. Malformed values are left out; a limit of 0 counts as malformed, because this answer was
 * within the limit. Parsed here because structured-field parsers reject the older and malformed forms.
 */
export function announcedLimits(
  headers: AnswerHeaders,
  { wallNow = Date.now() }: { /** Epoch milliseconds, for answers without a `Date`. */ wallNow?: number } = {},
): AnnouncedLimits | undefined {
  const counters = threeFields(headers);
  const single = headers['ratelimit'];
  const policy = headers['ratelimit-policy'];
  if (counters.length === 0 && single === undefined && policy === undefined) return undefined;

  const serverNow = serverTime(headers, wallNow);
  const found: AnnouncedLimits = { limits: [], wait: 0 };
  const usedUp = (remaining: string | undefined, reset: string | undefined): void => {
    if (remaining === '0') found.wait = Math.max(found.wait, untilReset(reset, serverNow) ?? 0);
  };
  const addPolicies = (members: Member[]): void => {
    for (const { value, parameters } of members) {
      const { q = value, w, qu = 'requests' } = parameters;
      const requests = whole(q);
      const seconds = whole(w);
      if (requests && seconds && qu === 'requests') found.limits.push({ requests, per: seconds * 1000 });
    }
  };

  addPolicies(membersOf(policy));
  const members = membersOf(single);
  for (const { parameters } of members) usedUp(parameters['r'], parameters['t']);
  const named = Object.fromEntries(members.flatMap(({ name, value }) => (name === undefined ? [] : [[name, value]])));
  for (const { limit, remaining, reset } of [...counters, named as Counter]) {
    const policies = membersOf(limit);
    addPolicies(policies);
    const requests = whole(policies[0]?.value);
    if (requests === 0) continue;
    usedUp(remaining, reset);
    const wait = untilReset(reset, serverNow);
    if (requests && wait !== undefined) found.limits.push({ requests, per: wait + rounding });
  }
  return found;
}

const threeNames = ['ratelimit', 'x-ratelimit', 'x-rate-limit'].map(
  (name) => [`${name}-limit`, `${name}-remaining`, `${name}-reset`] as const,
);

function threeFields(headers: AnswerHeaders): Counter[] {
  const found: Counter[] = [];
  for (const [limit, remaining, reset] of threeNames) {
    if (headers[limit] === undefined && headers[remaining] === undefined) continue;
    found.push({
      limit: headerList(headers[limit]),
      remaining: headerText(headers[remaining]),
      reset: headerText(headers[reset]),
    });
  }
  return found;
}

/** A member of a structured field (RFC 9651): `"name";q=100;w=60`, `100;w=60`, or `limit=100` with its name. */
interface Member {
  name?: string;
  value: string;
  parameters: Record<string, string>;
}

function membersOf(header: string | string[] | undefined): Member[] {
  return partsBetween(',', headerList(header) ?? '').map((member) => {
    const [first = '', ...rest] = partsBetween(';', member);
    const parameters = Object.fromEntries(rest.map(pair));
    const [name, value] = pair(first);
    return value === '' ? { value: name, parameters } : { name, value, parameters };
  });
}

/** More members or parameters than any server announces; the rest is ignored because each costs time on every answer. */
const mostParts = 20;

/**
 * The parts between separators outside quotes, at most `mostParts`. One pass over the text: a regular expression would
 * search again from every unclosed quote, which takes a fifth of a second for a header of 15 KB.
 */
function partsBetween(separator: string, text: string): string[] {
  const parts: string[] = [];
  const add = (from: number, to: number): void => {
    const part = text.slice(from, to).trim();
    if (part !== '') parts.push(part);
  };
  let begin = 0;
  let quoted = false;
  for (let index = 0; index < text.length; index += 1) {
    const character = text[index];
    if (quoted && character === '\\') index += 1;
    else if (character === '"') quoted = !quoted;
    else if (character === separator && !quoted) {
      add(begin, index);
      if (parts.length === mostParts) return parts;
      begin = index + 1;
    }
  }
  add(begin, text.length);
  return parts;
}

function pair(text: string): [name: string, value: string] {
  const [, name = text, value = ''] = /^([a-z*][a-z0-9_.*-]*)\s*=\s*(.*)$/i.exec(text) ?? [];
  return [unquoted(name), unquoted(value)];
}

const unquoted = (text: string): string => text.replace(/^"(.*)"$/, '$1');

const headerList = (header: string | string[] | undefined): string | undefined =>
  Array.isArray(header) ? header.join(', ') : header;

/** Undefined unless the text is all digits. */
const whole = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
