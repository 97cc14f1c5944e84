import { UsageError } from './failure.ts';

/** The number, if it is at least `least` (and whole, if required); otherwise throws a UsageError that names the option. */
export function checkedNumber(
  value: number,
  { name, least, whole = false }: { name: string; least: number; whole?: boolean },
): number {
  if (value >= least && (!whole || Number.isInteger(value))) return value;
  throw new UsageError(`"${name}" must be a ${whole ? 'whole ' : ''}number of at least ${least}, not ${value}.`, {
    code: 'NUMBER_OUT_OF_RANGE',
  });
}
