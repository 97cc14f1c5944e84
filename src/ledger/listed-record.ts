import { parseExactJson, type Json } from '../sources/json/exact-json.ts';
import { isStorableJson } from './last-known.ts';

/**
 * Bytes of a contract's key in UTF-8. An entry of a btree index takes a third of a page, 2,704 bytes, and the key shares
 * some with an instance's id, or the names of a job and a lookup, of at most 63 bytes each.
 */
export const longestKey = 1_024;

/** Levels of nesting in what is kept of a record. Postgres and those who read it later do so recursively. */
const deepest = 500;

/** What a record without a usable key goes by. */
export const namelessKey = (record: number): string => `(record ${record} of the listing)`;

export const isNamelessKey = (key: string): boolean => /^\(record \d+ of the listing\)$/.test(key);

/**
 * The JSON for a jsonb column. One that jsonb refuses, for an escaped NUL or half a surrogate pair in it, goes as a text
 * of itself (a record is never a text): the column it is meant for has to say what is wrong with it. Undefined when it is
 * nested too deeply.
 */
export function storedJson(listed: Json): string | undefined {
  let text: string;
  try {
    text = JSON.stringify(listed);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
  if (isDeep(text)) return undefined;
  return isStorableJson(text) ? text : JSON.stringify(text);
}

export function fromStoredJson(stored: string): Json {
  const value = parseExactJson(stored);
  return typeof value === 'string' ? parseExactJson(value) : value;
}

/** Read character by character: a pattern that skips texts would need memory for each of their characters. */
function isDeep(json: string): boolean {
  // Each level takes two characters at least.
  if (json.length < 2 * deepest) return false;
  let depth = 0;
  let quoted = false;
  for (let index = 0; index < json.length; index += 1) {
    const character = json[index];
    if (quoted) {
      if (character === '\\') index += 1;
      else if (character === '"') quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === '[' || character === '{') depth += 1;
    else if (character === ']' || character === '}') depth -= 1;
    if (depth > deepest) return true;
  }
  return false;
}
