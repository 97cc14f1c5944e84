import { z } from 'zod';
import type { Tolerance } from '../../jobs/job.ts';
import { parseJsonPath, type JsonPath } from '../../sources/json/json-path.ts';
import { parseTemplate, type Template } from '../../sources/json/template.ts';
import { durationPattern, parseDuration } from './duration.ts';
import { byteSizePattern, parseByteSize, parsePercentage, percentagePattern } from './quantity.ts';

/*
 * The kinds of value a job file holds; `kind` is what the reference calls them. An `error` here completes the sentence
 * "expected …"; a parser may throw a SyntaxError, whose message then replaces the whole sentence.
 */

/** Milliseconds; beyond this Node's timers fire at once. */
const longestTimer = 2 ** 31 - 1;

/** Text that fits `pattern`; without one, text that is not blank. */
export function text(expected: string, pattern: RegExp = /\S/) {
  return z.string({ error: expected }).regex(pattern, { error: expected });
}

/** Text that `parse` turns into something; it gives undefined or throws SyntaxError for text it cannot. */
export function textAs<Value>(
  expected: string,
  { parse, pattern }: { parse: (text: string) => Value | undefined; pattern?: RegExp },
) {
  return text(expected, pattern).transform((written, context): Value => {
    try {
      const value = parse(written);
      if (value !== undefined) return value;
      context.addIssue({ code: 'custom', message: expected });
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      context.addIssue({ code: 'custom', message: error.message, params: { sentence: true } });
    }
    return z.NEVER;
  });
}

export function wholeNumber(least: number, most = 1_000_000) {
  const expected = `a whole number from ${least} to ${most.toLocaleString('en')}`;
  return z.int({ error: expected }).min(least, { error: expected }).max(most, { error: expected });
}

const durationExamples = 'a duration such as 250ms, 30s, 5m, 6h or 2d';

function durationWithin(least: number, most: number, expected: string) {
  return textAs<number>(expected, {
    pattern: durationPattern,
    parse(written) {
      const milliseconds = parseDuration(written);
      return milliseconds !== undefined && milliseconds >= least && milliseconds <= most ? milliseconds : undefined;
    },
  }).meta({ kind: 'duration' });
}

export function duration() {
  return durationWithin(1, longestTimer, `${durationExamples}, above 0 and at most 24d`);
}

export function delay() {
  return durationWithin(0, longestTimer, `${durationExamples}, at most 24d`);
}

export function age() {
  return durationWithin(1, Number.MAX_SAFE_INTEGER, durationExamples);
}

export function percentage() {
  return textAs<number>('a percentage from 0% to 100%, such as 5%', {
    pattern: percentagePattern,
    parse: parsePercentage,
  }).meta({ kind: 'percentage' });
}

/** A share by which a figure may change at most. Not 0%, which would fail every run. */
export function swing() {
  return textAs<number>('a percentage above 0% and up to 100%, such as 50%', {
    pattern: percentagePattern,
    parse: (written) => parsePercentage(written) || undefined,
  }).meta({ kind: 'percentage' });
}

/** `0.01`, as a number or as text, or `0.1%`. */
export function tolerance() {
  const expected = 'an amount such as 0.01, not negative, or a percentage such as 0.1%';
  return z
    .union(
      [
        z
          .number()
          .nonnegative()
          .transform((amount): Tolerance => ({ absolute: String(amount), share: 0 })),
        textAs<Tolerance>(expected, {
          pattern: /^\d{1,30}(\.\d{1,20})?$|%$/,
          parse(written) {
            if (!written.endsWith('%')) return { absolute: written, share: 0 };
            const share = parsePercentage(written);
            return share === undefined ? undefined : { absolute: '0', share };
          },
        }),
      ],
      { error: expected },
    )
    .meta({ kind: 'amount or percentage' });
}

export function byteSize(most: number) {
  return textAs<number>(`a size such as 32MB, at most ${most / 1e6}MB`, {
    pattern: byteSizePattern,
    parse(written) {
      const bytes = parseByteSize(written);
      return bytes !== undefined && bytes > 0 && bytes <= most ? bytes : undefined;
    },
  }).meta({ kind: 'size' });
}

export function jsonPath() {
  return textAs<JsonPath>('a path such as data or paging.next.after or items[0].id', { parse: parseJsonPath }).meta({
    kind: 'path',
  });
}

const pairedBraces = 'pairs of braces around paths such as {key} or {contract.customerId}';

export function template() {
  return textAs<Template>(`text with ${pairedBraces}`, { parse: parseTemplate });
}

/** A path below an API's base URL. One that begins with two slashes or a backslash would name another host. */
export function requestPath() {
  return textAs<Template>(
    `a path that begins with one slash, without ?, # or spaces (parameters go into query), with ${pairedBraces}`,
    {
      pattern: /^(?:\/(?![/\\])[^?#\\\s]*)$/,
      parse(written) {
        if (/(?:^|\/)(?:\.|%2e){1,2}(?:\/|$)/i.test(written))
          throw new SyntaxError('a path has no . or .. segments; write it out');
        return parseTemplate(written);
      },
    },
  );
}

export function parameter() {
  return text('the name of the query parameter, such as after', /^\S{1,100}$/);
}

export function identifier(what: string) {
  return text(
    `the name of a ${what} in lower case: a letter or _, then letters, digits and _, at most 63`,
    /^[a-z_][a-z0-9_]{0,62}$/,
  );
}

/** A reference to a secret. A literal value is refused on purpose. */
export function secret() {
  return z
    .union(
      [
        z.strictObject({
          env: text('the name of an environment variable', /^[A-Za-z_][A-Za-z0-9_]*$/).describe(
            'The environment variable that holds the secret.',
          ),
        }),
        z.strictObject({
          file: text('the path of a file', /^[^\0]+$/).describe(
            'The file that holds the secret, relative to the job file. Only its owner may read it (mode 0600).',
          ),
        }),
      ],
      { error: 'a secret as { env: NAME } or { file: PATH }, never the secret itself' },
    )
    .meta({
      kind: 'secret',
      description: 'A secret, never written in the file itself: { env: NAME } or { file: PATH }.',
    });
}

export type SecretReference = z.output<ReturnType<typeof secret>>;
