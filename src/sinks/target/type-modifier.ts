/*
 * A type's modifier (pg_attribute.atttypmod) is -1 without one, otherwise four more than what was declared: VARHDRSZ, see
 * varchar.c and numeric.c.
 */

/** Characters of `char(n)` and `varchar(n)`; undefined without a length. */
export const declaredLength = (modifier: number): number | undefined => (modifier < 0 ? undefined : modifier - 4);

/** Digits of `numeric(p,s)`, in all and after the point; undefined for `numeric` alone. */
export function declaredDigits(modifier: number): { precision: number; scale: number } | undefined {
  if (modifier < 0) return undefined;
  // The upper half is the precision; the scale is a signed number of eleven bits.
  const declared = modifier - 4;
  return { precision: declared >> 16, scale: ((declared & 0x7ff) ^ 0x400) - 0x400 };
}
