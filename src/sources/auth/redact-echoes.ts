/** Replaces a secret. */
const mark = '[redacted]';

/** Characters: more than the excerpt that any message shows, so the rest of a text is not searched. */
const shownText = 4 * 1024;

/** Characters that the longest spelling of one character takes, roughly. */
const longestSpelling = 8;

/** Shorter secrets are not replaced, because replacing every "a" would reveal more than it hides. */
const shortestSecret = 4;

/** How many times a text may have been escaped. */
const layers = 3;

/**
 * Gives a function that hides the secrets in a text, in every spelling that a server may echo: escaped as in JSON
 * (`\/`, `\u002B`), as in a URL (`%2F`, `%2f`, `+`), as in HTML (`&amp;`, `&#43;`, `&#x2B;`), several times over, or in
 * base64. It returns only the beginning of a long text.
 */
export function redactorOf(secrets: readonly string[]): (text: string) => string {
  const spellings = [...new Set(secrets.filter(isLongEnough).flatMap(spellingsOf).filter(isLongEnough))];
  if (spellings.length === 0) return (text) => text;
  // A secret cut in two by the end of the searched part is not found, so that end is not returned.
  const unreturnedEnd = longestSpelling * Math.max(...spellings.map(({ length }) => length));
  return (text) => {
    const searched = text.slice(0, shownText + unreturnedEnd);
    const hidden = hide(searched, findAll(searched, spellings));
    return text.length > searched.length ? hidden.slice(0, -unreturnedEnd) : hidden;
  };
}

const isLongEnough = ({ length }: string): boolean => length >= shortestSecret;

/** The spellings to search for. Includes the unescaped secret, because the text is unescaped step by step too. */
function spellingsOf(secret: string): string[] {
  const found = [secret, secret.replaceAll(' ', '+'), ...base64Of(secret)];
  let unescaped = asIs(secret);
  for (let layer = 0; layer < layers; layer += 1) {
    unescaped = unescape(unescaped);
    found.push(unescaped.text);
  }
  return found;
}

/** The base64 of the secret for each alignment (0, 1 or 2 bytes before it), without the ends that depend on its neighbours. */
function base64Of(secret: string): string[] {
  return [0, 1, 2].flatMap((shift) => {
    const bytes = Buffer.concat([Buffer.alloc(shift), Buffer.from(secret)]);
    const mixedBefore = [0, 2, 3][shift];
    const whole = bytes.toString('base64').replace(/=+$/, '');
    const own = whole.slice(mixedBefore, bytes.length % 3 === 0 ? whole.length : -1);
    // Shorter ones could occur by chance.
    return own.length < 8 ? [] : [own, own.replaceAll('+', '-').replaceAll('/', '_')];
  });
}

/** A text, and for each of its characters where it begins and ends in the original text. */
interface Unescaped {
  text: string;
  from: number[];
  to: number[];
}

const asIs = (text: string): Unescaped => ({
  text,
  from: Array.from({ length: text.length }, (_, at) => at),
  to: Array.from({ length: text.length }, (_, at) => at + 1),
});

type Range = readonly [from: number, to: number];

function findAll(text: string, spellings: readonly string[]): Range[] {
  const found: Range[] = [];
  let layer = asIs(text);
  for (let depth = 0; depth <= layers; depth += 1) {
    for (const spelling of spellings)
      for (let at = layer.text.indexOf(spelling); at !== -1; at = layer.text.indexOf(spelling, at + 1))
        found.push([layer.from[at]!, layer.to[at + spelling.length - 1]!]);
    const next = unescape(layer);
    if (next.text.length === layer.text.length) break;
    layer = next;
  }
  return found;
}

function hide(text: string, ranges: Range[]): string {
  let shown = '';
  let end = 0;
  for (const [from, to] of ranges.toSorted((a, b) => a[0] - b[0])) {
    // A range that overlaps the one before only extends it.
    if (from >= end) shown += text.slice(end, from) + mark;
    end = Math.max(end, to);
  }
  return shown + text.slice(end);
}

const escapes =
  /\\(?:u([0-9a-f]{4})|x([0-9a-f]{2})|([\\/"']))|(%[c-f][0-9a-f](?:%[89ab][0-9a-f]){1,3})|%([0-9a-f]{2})|&#(\d{1,7});|&#x([0-9a-f]{1,6});|&(amp|lt|gt|quot|apos);/gi;

const named: Record<string, string | undefined> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** Removes one layer of escapes, of every kind at once. */
function unescape({ text, from, to }: Unescaped): Unescaped {
  const result: Unescaped = { text: '', from: [], to: [] };
  let end = 0;
  const copy = (until: number): void => {
    result.text += text.slice(end, until);
    for (; end < until; end += 1) {
      result.from.push(from[end]!);
      result.to.push(to[end]!);
    }
  };
  for (const match of text.matchAll(escapes)) {
    copy(match.index);
    end = match.index + match[0].length;
    const meant = meaningOf(match);
    result.text += meant;
    for (let unit = 0; unit < meant.length; unit += 1) {
      result.from.push(from[match.index]!);
      result.to.push(to[end - 1]!);
    }
  }
  copy(text.length);
  return result;
}

function meaningOf([whole, utf16, latin1, sign, utf8, byte, decimal, hex, name]: RegExpExecArray): string {
  if (sign !== undefined) return sign;
  if (name !== undefined) return named[name.toLowerCase()]!;
  if (utf8 !== undefined) return decoded(utf8);
  const point = decimal === undefined ? Number.parseInt(utf16 ?? latin1 ?? byte ?? hex!, 16) : Number(decimal);
  return point > 0x10ffff ? whole : String.fromCodePoint(point);
}

function decoded(percent: string): string {
  try {
    return decodeURIComponent(percent);
  } catch {
    return percent;
  }
}
