const units = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000, ms: 1 } as const;
type Unit = keyof typeof units;

/** A duration as a job file writes it. */
export type DurationText = `${number}${Unit}`;

export const durationPattern = /^(\d{1,16})(ms|s|m|h|d)$/;

/** Milliseconds of `250ms`, `30s`, `5m`, `6h` or `2d`; undefined for any other text and beyond exact integers. */
export function parseDuration(text: string): number | undefined {
  const [, digits, unit] = durationPattern.exec(text) ?? [];
  if (digits === undefined || unit === undefined) return undefined;
  const milliseconds = Number(digits) * units[unit as Unit];
  return Number.isSafeInteger(milliseconds) ? milliseconds : undefined;
}
