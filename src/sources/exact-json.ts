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
 * Parses JSON; a number that does not print back as it came becomes a `RawJson`.
 * Throws SyntaxError, and JSON_TOO_DEEP for thousands of levels of nesting: V8 visits the values recursively.
 */
export function parseExactJson(text: string): Json {
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
