import { randomBytes } from 'node:crypto';

/** Before a number that is quoted. No answer can hold it, because each process draws its own and tells nobody. */
const mark = randomBytes(12).toString('base64url');

/** By JSON's own grammar; what is none stays in the text, for the parser to refuse. */
const number = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;

/** A whole number of so many digits surely prints as it is written. */
const surelyExact = 15;

const quote = 0x22;
const minus = 0x2d;
const zero = 0x30;
const nine = 0x39;
const backslash = 0x5c;

export interface QuotedNumbers {
  /** With each number that does not print back as it is written as a marked string. */
  text: string;
  quoted: boolean;
  /** Of nesting, in levels. */
  depth: number;
}

/** Reads each character once: to have V8 visit every parsed value costs ten times the parsing itself. */
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
      if (code === minus || end - index > surelyExact || !areDigits(text, index, end)) {
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

/** The index of the quote that ends the string begun at `start`; the text's length when none does. */
export function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let before = end - 1;
    while (text.charCodeAt(before) === backslash) before -= 1;
    // Behind an even number of backslashes: each pair of them is a backslash.
    if ((end - before) % 2 === 1) return end;
  }
  return text.length;
}

/** `[` or `{`. */
export const isOpening = (code: number): boolean => code === 0x5b || code === 0x7b;

/** `]` or `}`. */
export const isClosing = (code: number): boolean => code === 0x5d || code === 0x7d;

/** Puts the numbers back in place of their marked strings, at any depth, without recursion. */
export function restoreNumbers(parsed: unknown): unknown {
  const open: object[] = [];
  /** The value itself or the number that it stands for; a container is looked into later. */
  const restored = (value: unknown): unknown => {
    if (typeof value === 'string') return value.startsWith(mark) ? JSON.rawJSON(value.slice(mark.length)) : value;
    if (typeof value === 'object' && value !== null) open.push(value);
    return value;
  };
  const root = restored(parsed);
  for (let holder = open.pop(); holder; holder = open.pop()) {
    // Apart, because an array's indices as names cost several times as much.
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

/** What JSON.parse made has own properties only: assigning to one does no more than that, `__proto__` included. */
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

/** A number in place of an object's name is no JSON, and in quotes it would be. */
function isName(text: string, end: number): boolean {
  let index = end;
  while (' \t\n\r'.includes(text.charAt(index))) {
    if (index >= text.length) return false;
    index += 1;
  }
  return text.charAt(index) === ':';
}
