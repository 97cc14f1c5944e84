import { NightfillError } from '../../resilience/failure.ts';
import { quoteInexactNumbers, restoreNumbers } from './inexact-numbers.ts';

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

export interface ParseOptions {
  /** The value will not be visited recursively, so that it may be nested as deep as it likes. False by default. */
  anyDepth?: boolean;
}

/** Levels of nesting that all who visit a value recursively can bear, `JSON.stringify` among them. */
const deepest = 2_000;

/**
 * Parses JSON; a number that does not print back as it came becomes a `RawJson`.
 * Throws SyntaxError, and JSON_TOO_DEEP for thousands of levels of nesting.
 */
export function parseExactJson(text: string, { anyDepth = false }: ParseOptions = {}): Json {
  const { text: readable, quoted, depth } = quoteInexactNumbers(text);
  const parsed: unknown = quoted ? restoreNumbers(parseQuoted(readable, text)) : JSON.parse(text);
  if (!anyDepth && tooDeep(depth)) throw jsonTooDeep();
  return parsed as Json;
}

/** What is wrong is said of the text as it came. */
function parseQuoted(quoted: string, text: string): unknown {
  try {
    return JSON.parse(quoted);
  } catch {
    return JSON.parse(text);
  }
}

export const tooDeep = (depth: number): boolean => depth > deepest;

export const jsonTooDeep = (): NightfillError =>
  new NightfillError({
    code: 'JSON_TOO_DEEP',
    class: 'data',
    message: 'the JSON is nested deeper than can be read; no business record is',
  });

export function isExactNumber(value: unknown): value is number | RawJson {
  return typeof value === 'number' || JSON.isRawJSON(value);
}

/** The text of a JSON string or number; undefined for any other value. */
export function scalarText(value: Json | undefined): string | undefined {
  return typeof value === 'string' ? value : isExactNumber(value) ? numberText(value) : undefined;
}

/** The number's digits as the source wrote them. */
export function numberText(value: number | RawJson): string {
  return typeof value === 'number' ? String(value) : value.rawJSON;
}
