import type { Books } from '../../src/report/books.ts';
import type { Evidence } from '../../src/report/evidence.ts';
import type { RunFigures } from '../../src/report/figures.ts';
import type { Report } from '../../src/report/schema.ts';

export interface EvidenceChanges {
  counts?: Partial<Books['counts']>;
  books?: Partial<Omit<Books, 'counts'>>;
  figures?: Partial<RunFigures>;
  previous?: Partial<NonNullable<Report['previous']>>;
  planned?: boolean;
  isNight?: boolean;
}

/** Ten contracts, all enriched and inserted. */
export const wholeNight: Report['counts'] = {
  sourceTotal: 10,
  listed: 10,
  duplicates: 0,
  enriched: 10,
  degraded: 0,
  failed: 0,
  notStarted: 0,
  inserted: 10,
  updated: 0,
  unchanged: 0,
  missing: 0,
};

/** Of a night of ten contracts, all enriched and inserted, that asks for no control. */
export function evidence({
  counts,
  books,
  figures,
  previous,
  planned = true,
  isNight = true,
}: EvidenceChanges): Evidence {
  return {
    planned,
    isNight,
    previous: previous ? (previous as Report['previous']) : null,
    figures: { sums: [], controls: [], standing: null, marking: null, expectsTotal: true, ...figures } as RunFigures,
    books: {
      amounts: [],
      totalChanged: false,
      goneMeanwhile: 0,
      distinctRows: 10,
      problems: [],
      ...books,
      counts: { ...wholeNight, ...counts },
    },
  };
}
