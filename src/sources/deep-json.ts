import { randomUUID } from 'node:crypto';
import type { Json } from './exact-json.ts';

/**
 * The same as `parseExactJson`, for nesting of any depth, and several times slower: numbers are found and marked before V8
 * parses the text, which it does without recursion as long as nothing has to be visited. Throws SyntaxError.
 */
export function parseDeepJson(text: string): Json {
  const mark = `${randomUUID()} `;
  const root = { value: JSON.parse(withMarkedNumbers(text, mark)) as unknown };
  const open: object[] = [root];
  for (let holder = open.pop(); holder; holder = open.pop()) {
    for (const [name, value] of Object.entries(holder)) {
      if (typeof value === 'object' && value !== null) open.push(value as object);
      else if (typeof value === 'string' && value.startsWith(mark))
        // Not an assignment, to which `__proto__` is more than a name.
        Object.defineProperty(holder, name, { value: JSON.rawJSON(value.slice(mark.length)) });
    }
  }
  return root.value as Json;
}

/** With each number that does not print back as it is written as a text of it behind the mark. */
function withMarkedNumbers(text: string, mark: string): string {
  const number = /-?\d[\d.eE+-]*/y;
  const parts: string[] = [];
  let copied = 0;
  for (let index = 0; index < text.length; index += 1) {
    const character = text[index]!;
    if (character === '"') {
      for (index += 1; index < text.length && text[index] !== '"'; index += 1) if (text[index] === '\\') index += 1;
    } else if (character === '-' || (character >= '0' && character <= '9')) {
      number.lastIndex = index;
      const [token = character] = number.exec(text) ?? [];
      if (isNumber(token) && String(Number(token)) !== token) {
        parts.push(text.slice(copied, index), `"${mark}${token}"`);
        copied = index + token.length;
      }
      index += token.length - 1;
    }
  }
  return parts.join('') + text.slice(copied);
}

/** By JSON's own grammar; what is none stays in the text, for the parser to refuse. */
const isNumber = (token: string): boolean => /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(token);
