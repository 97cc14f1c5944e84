/** The order of the table's columns; the first is ours. */
export const contestants = ['nightfill', 'p-retry', 'bottleneck', 'opossum', 'cockatiel', 'p-queue'] as const;
export type Contestant = (typeof contestants)[number];

/** A contestant without a figure has no such thing. */
export type Figures = Partial<Record<Contestant, number>>;

export interface Row {
  what: string;
  figures: Figures;
  /** Which figure is the best one. */
  best: 'least' | 'most' | number;
  /** 0 by default. */
  decimals?: number;
  /** By how much figures differ from one run to the next: those nearer than this are equal. 0 by default. */
  noise?: number;
}

/** How far a figure is from what is wanted; the least is the best. */
export function distance({ best }: Pick<Row, 'best'>, figure: number): number {
  if (best === 'least') return figure;
  return best === 'most' ? -figure : Math.abs(figure - best);
}

/** Whether nobody's figure is better than ours by more than noise. */
export function isOurs(row: Row): boolean {
  const ours = row.figures.nightfill;
  if (ours === undefined) return false;
  const figures = Object.values(row.figures);
  return figures.every((figure) => distance(row, ours) <= distance(row, figure) + (row.noise ?? 0));
}
