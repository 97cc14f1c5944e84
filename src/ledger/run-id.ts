/**
 * The least and the greatest id that begin with the given text, so that an index finds them; nulls without one. Text
 * that is no beginning of an id gives a range with nothing of it or more than it: compare the text as well.
 */
export function idRange(beginning: string | undefined): [string | null, string | null] {
  if (beginning === undefined) return [null, null];
  const digits = beginning.replaceAll('-', '').toLowerCase().slice(0, 32);
  return [digits.padEnd(32, '0'), digits.padEnd(32, 'f')];
}
