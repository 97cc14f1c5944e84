import { NightfillError } from '../../resilience/failure.ts';
import { quoteInexactNumbers, restoreNumbers } from './inexact-numbers.ts';

declare global {
  interface JSON {
    rawJSON(text: string): RawJson;
    isRawJSON(value: unknown): value is RawJson;
  }
}

/** A JSON number that a float cannot represent exactly, kept as text (ECMAScript's `JSON.rawJSON`). */
export interface RawJson {
  readonly rawJSON: string;
}

/** A parsed JSON value in which every number keeps its original digits. */
export type Json = null | boolean | number | string | RawJson | readonly Json[] | { readonly [key: string]: Json };

export interface ParseOptions {
  /** Accept any depth of nesting; the caller must not visit the value recursively. Default: false. */
  anyDepth?: boolean;
}

/** Levels of nesting that are safe for recursive visits such as `JSON.stringify`. */
const maxDepth = 2_000;

/**
 * Parses JSON; a number that would print differently becomes a `RawJson`.
 * Not a `JSON.parse` reviver: it visits every value, which costs ten times the parsing and cannot be done in steps.
 * Throws SyntaxError, and JSON_TOO_DEEP for thousands of levels of nesting.
 */
export function parseExactJson(text: string, { anyDepth = false }: ParseOptions = {}): Json {
  const { text: readable, quoted, depth } = quoteInexactNumbers(text);
  const parsed: unknown = quoted ? restoreNumbers(parseQuoted(readable, text)) : JSON.parse(text);
  if (!anyDepth && tooDeep(depth)) throw jsonTooDeep();
  return parsed as Json;
}

/** Parses the original text on an error, so that the SyntaxError's position refers to it. */
function parseQuoted(quoted: string, text: string): unknown {
  try {
    return JSON.parse(quoted);
  } catch {
    return JSON.parse(text);
  }
}

export const tooDeep = (depth: number): boolean => depth > maxDepth;

export const jsonTooDeep = (): NightfillError =>
  new NightfillError({
    code: 'JSON_TOO_DEEP',
    class: 'data',
    message: `the JSON has more than ${maxDepth} levels of nesting`,
  });

export function isExactNumber(value: unknown): value is number | RawJson {
  return typeof value === 'number' || JSON.isRawJSON(value);
}

/** The text of a JSON string or number; undefined for any other value. */
export function scalarText(value: Json | undefined): string | undefined {
  return typeof value === 'string' ? value : isExactNumber(value) ? numberText(value) : undefined;
}

/** The number's digits as in the source. */
export function numberText(value: number | RawJson): string {
  return typeof value === 'number' ? String(value) : value.rawJSON;
}
