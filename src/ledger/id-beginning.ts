/** Whether a text can be a run's id or the beginning of one. */
export const isIdBeginning = (text: string): boolean => /^[0-9a-f-]{4,36}$/i.test(text);

/**
 * The least and the greatest id that begin with the given text, so that an index finds them; nulls without one. For
 * text that begins no id the range may be too wide: compare the text as well.
 */
export function idRange(beginning: string | undefined): [string | null, string | null] {
  if (beginning === undefined) return [null, null];
  const digits = beginning.replaceAll('-', '').toLowerCase().slice(0, 32);
  return [digits.padEnd(32, '0'), digits.padEnd(32, 'f')];
}
