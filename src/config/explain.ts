import { z } from 'zod';
import type { JobFileSource } from './yaml/job-file-source.ts';
import { valueAt, type Path } from './yaml/path.ts';
import { didYouMean } from './suggest.ts';

const kinds: Record<string, string> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a mapping of keys to values',
  record: 'a mapping of names to values',
  array: 'a list',
};

/** For zod: the text after "expected" in a message; for an unknown key, the known keys. */
export const expectation: z.core.$ZodErrorMap = (issue) => {
  if (issue.code === 'invalid_type') return kinds[issue.expected] ?? issue.expected;
  if (issue.code === 'invalid_value') return `${issue.values.length > 1 ? 'one of ' : ''}${issue.values.join(', ')}`;
  if (issue.code === 'unrecognized_keys' && issue.inst instanceof z.ZodObject)
    return Object.keys(issue.inst.shape).join(', ');
  // The values of a key such as `type` that selects one form of a union.
  if (Array.isArray(issue['options'])) return `one of ${issue['options'].join(', ')}`;
  return 'a value that fits';
};

/** Reports one issue of zod as sentences at their places. */
export function explain(issue: z.core.$ZodIssue, source: JobFileSource, within: Path = []): void {
  const path = [...within, ...issue.path];
  if (issue.code === 'unrecognized_keys') {
    for (const key of issue.keys) {
      const known = issue.message.split(', ');
      const message = `unknown key "${key}"${didYouMean(key, known)}; known here: ${issue.message}`;
      source.report([...path, key], message, 'key');
    }
    return;
  }
  if (issue.code === 'invalid_key') {
    const expected = issue.issues[0]?.message ?? 'another name';
    source.report(path, `expected ${expected}, got "${String(path.at(-1))}"`, 'key');
    return;
  }
  const meant = issue.code === 'invalid_union' && meantBranch(issue.errors, valueAt(source.value, path));
  if (meant) {
    for (const inner of meant) explain(inner, source, path);
    return;
  }
  source.report(path, isSentence(issue) ? issue.message : `expected ${issue.message}, ${foundAt(source, path)}`);
}

const isSentence = (issue: z.core.$ZodIssue): boolean => issue.code === 'custom' && issue.params?.['sentence'] === true;

/** The issues of the one form of a union that the value's keys match, or whose parser explains a text. */
function meantBranch(branches: z.core.$ZodIssue[][], value: unknown): z.core.$ZodIssue[] | undefined {
  if (typeof value === 'string') return branches.find((issues) => issues.every(isSentence));
  if (typeof value !== 'object' || value === null) return undefined;
  const fitting = branches.filter(
    (issues) =>
      issues.every((issue) => issue.path.length > 0 && Object.hasOwn(value, issue.path[0]!)) ||
      // One unknown key among the right ones matches this form as well.
      (issues.length === 1 && issues[0]!.code === 'unrecognized_keys'),
  );
  return fitting.length === 1 ? fitting[0] : undefined;
}

/** The end of the message: the value at the path as the file has it. Credentials are never quoted. */
function foundAt(source: JobFileSource, path: Path): string {
  const value = valueAt(source.value, path);
  const written = source.writtenAt(path) ?? value;
  if (value === undefined) return 'but it is missing';
  if (value === null) return 'got nothing';
  if (Array.isArray(value)) return 'got a list';
  if (typeof value === 'object') {
    const keys = isCredential(path) ? [] : Object.keys(value);
    return keys.length > 0 ? `got a mapping with ${keys.join(', ')}` : 'got a mapping';
  }
  if (typeof written === 'string') {
    if (mayBeSecret(path, written)) return 'got other text';
    const shown = JSON.stringify(written.length > 60 ? `${written.slice(0, 60)}…` : written);
    return source.writtenAt(path) === undefined ? `got ${shown}` : `got the value of ${shown}`;
  }
  return `got ${String(written)}`;
}

function mayBeSecret(path: Path, written: string): boolean {
  const isParameter = path.at(-2) === 'query' && /key|token|secret|password|sig/i.test(String(path.at(-1)));
  return isCredential(path) || isParameter || (/:\/\//.test(written) && /[@?]/.test(written));
}

function isCredential(path: Path): boolean {
  const isOfApi = path.some((step) => step === 'auth' || step === 'headers') && path.at(-1) !== 'type';
  return isOfApi || path[0] === 'database';
}
