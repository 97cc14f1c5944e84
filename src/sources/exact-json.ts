import { NightfillError } from '../resilience/failure.ts';

declare global {
  interface JSON {
    rawJSON(text: string): RawJson;
    isRawJSON(value: unknown): value is RawJson;
  }
}

/** A JSON number whose digits a float would change, kept as its text (ECMAScript's `JSON.rawJSON`). */
export interface RawJson {
  readonly rawJSON: string;
}

/** A parsed JSON value in which every number still has the digits it came with. */
export type Json = null | boolean | number | string | RawJson | readonly Json[] | { readonly [key: string]: Json };

type Reviver = (this: unknown, key: string, value: unknown, context: { source?: string }) => unknown;
const parse = JSON.parse as (text: string, reviver: Reviver) => Json;

/**
 * Finds every number that does not print back as it is written, and some others: minus zero, an exponent, a trailing
 * zero after the point, a magnitude that prints with an exponent, more than the 15 digits a float surely keeps.
 */
const inexact = /-0|\d[eE]|\.\d*0(?!\d)|0\.000000|[\d.]{16}/;

/** Longer texts could be nested deeper than those who read the value recursively can bear. */
const surelyShallow = 4096;

/**
 * Parses JSON; a number that does not print back as it came becomes a `RawJson`.
 * Throws SyntaxError, and JSON_TOO_DEEP for thousands of levels of nesting: V8 visits the values recursively.
 */
export function parseExactJson(text: string): Json {
  // Visiting every value costs several times the parsing itself, and most answers of a lookup do not need it.
  if (text.length <= surelyShallow && !inexact.test(text)) return JSON.parse(text) as Json;
  try {
    return parse(text, (_key, value, { source }) =>
      typeof value === 'number' && source !== undefined && String(value) !== source ? JSON.rawJSON(source) : value,
    );
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new NightfillError({
      code: 'JSON_TOO_DEEP',
      class: 'data',
      message: 'the JSON is nested deeper than can be read; no business record is',
      cause: error,
    });
  }
}

export function isExactNumber(value: unknown): value is number | RawJson {
  return typeof value === 'number' || JSON.isRawJSON(value);
}

/** The number's digits as the source wrote them. */
export function numberText(value: number | RawJson): string {
  return typeof value === 'number' ? String(value) : value.rawJSON;
}
