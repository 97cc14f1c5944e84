import { randomBytes } from 'node:crypto';

/** Prefix of a quoted number. No answer can contain it by intent, because it is random per process and never sent. */
const mark = randomBytes(12).toString('base64url');

/** A number by JSON's grammar; anything else stays in the text, so that the parser reports it. */
const number = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

/** A float represents every whole number of up to this many digits exactly. */
const exactDigits = 15;

const quote = 0x22;
const minus = 0x2d;
const zero = 0x30;
const nine = 0x39;
const backslash = 0x5c;

interface QuotedNumbers {
  /** The text, with each number that would print differently as a marked string. */
  text: string;
  quoted: boolean;
  /** Levels of nesting. */
  depth: number;
}

/** Reads each character once, because visiting every parsed value costs ten times the parsing. */
export function quoteInexactNumbers(text: string): QuotedNumbers {
  const { length } = text;
  let result = '';
  let copied = 0;
  let open = 0;
  let depth = 0;
  for (let index = 0; index < length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === quote) index = endOfString(text, index);
    else if (code === minus || (code >= zero && code <= nine)) {
      const end = endOfNumber(text, index);
      if (code === minus || end - index > exactDigits || !areDigits(text, index, end)) {
        const token = text.slice(index, end);
        if (isInexact(token) && !isName(text, end)) {
          result += `${text.slice(copied, index)}"${mark}${token}"`;
          copied = end;
        }
      }
      index = end - 1;
    } else if (isOpening(code)) {
      open += 1;
      if (open > depth) depth = open;
    } else if (isClosing(code)) open -= 1;
  }
  return { text: copied === 0 ? text : result + text.slice(copied), quoted: copied > 0, depth };
}

/** The index of the closing quote of the string that begins at `start`; the text's length when there is none. */
export function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let before = end - 1;
    while (text.charCodeAt(before) === backslash) before -= 1;
    // A quote after an even number of backslashes is not escaped, because each pair is one backslash.
    if ((end - before) % 2 === 1) return end;
  }
  return text.length;
}

/** `[` or `{`. */
export const isOpening = (code: number): boolean => code === 0x5b || code === 0x7b;

/** `]` or `}`. */
export const isClosing = (code: number): boolean => code === 0x5d || code === 0x7d;

/** Replaces the marked strings by their numbers, at any depth, without recursion. */
export function restoreNumbers(parsed: unknown): unknown {
  const open: object[] = [];
  /** The number for a marked string, otherwise the value itself; a container is queued for a later visit. */
  const restored = (value: unknown): unknown => {
    if (typeof value === 'string') return value.startsWith(mark) ? JSON.rawJSON(value.slice(mark.length)) : value;
    if (typeof value === 'object' && value !== null) open.push(value);
    return value;
  };
  const root = restored(parsed);
  for (let holder = open.pop(); holder; holder = open.pop()) {
    // Arrays apart, because visiting them by property names costs several times as much.
    if (Array.isArray(holder)) restoreItems(holder, restored);
    else restoreFields(holder as Record<string, unknown>, restored);
  }
  return root;
}

function restoreItems(items: unknown[], restored: (value: unknown) => unknown): void {
  for (let index = 0; index < items.length; index += 1) {
    const item = items[index];
    const value = restored(item);
    if (value !== item) items[index] = value;
  }
}

/** Assignment is safe even for `__proto__`, because JSON.parse makes it an own property. */
function restoreFields(fields: Record<string, unknown>, restored: (value: unknown) => unknown): void {
  for (const name of Object.keys(fields)) {
    const field = fields[name];
    const value = restored(field);
    if (value !== field) fields[name] = value;
  }
}

function endOfNumber(text: string, start: number): number {
  let end = start + 1;
  while (end < text.length && isPartOfNumber(text.charCodeAt(end))) end += 1;
  return end;
}

const isPartOfNumber = (code: number): boolean =>
  (code >= zero && code <= nine) || code === 0x2e || code === 0x65 || code === 0x45 || code === 0x2b || code === minus;

function areDigits(text: string, start: number, end: number): boolean {
  for (let index = start; index < end; index += 1)
    if (text.charCodeAt(index) > nine || text.charCodeAt(index) < zero) return false;
  return true;
}

const isInexact = (token: string): boolean => String(Number(token)) !== token && number.test(token);

/** Whether the number stands in place of an object's name: invalid JSON, which quoting would make valid. */
function isName(text: string, end: number): boolean {
  let index = end;
  while (' \t\n\r'.includes(text.charAt(index))) {
    if (index >= text.length) return false;
    index += 1;
  }
  return text.charAt(index) === ':';
}
