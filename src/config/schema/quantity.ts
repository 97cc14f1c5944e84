/** A percentage as a job file writes it. */
export type PercentageText = `${number}%`;

export const percentagePattern = /^(\d{1,3}(?:\.\d{1,6})?)%$/;

/** The share, 0 to 1, of `5%` or `99.5%`; undefined for any other text and above 100%. */
export function parsePercentage(text: string): number | undefined {
  const digits = percentagePattern.exec(text)?.[1];
  if (digits === undefined) return undefined;
  // The decimal exponent keeps 99.9% at 0.999; dividing by 100 gives 0.9990000000000001.
  const share = Number(`${digits}e-2`);
  return share <= 1 ? share : undefined;
}

const units = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 } as const;
type Unit = keyof typeof units;

/** A number of bytes as a job file writes it. */
export type ByteSizeText = `${number}${Unit}`;

export const byteSizePattern = /^(\d{1,12})(B|KB|MB|GB|KiB|MiB|GiB)$/;

/** Bytes of `32MB` (powers of 1000) or `32MiB` (powers of 1024); undefined for any other text. */
export function parseByteSize(text: string): number | undefined {
  const [, digits, unit] = byteSizePattern.exec(text) ?? [];
  if (digits === undefined || unit === undefined) return undefined;
  return Number(digits) * units[unit as Unit];
}
