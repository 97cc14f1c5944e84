import type { SumDefinition } from '../ledger/books/known-amounts.ts';
import type { ApiFigures, CurrencyAmount, Report } from './schema.ts';

/** What only the process of a run knew, stored with the run so that a report is made from the database alone. */
export interface RunFigures {
  generator: Report['generator'];
  database: string;
  apis: ApiFigures[];
  tasks: Report['tasks'];
  process: Report['process'];
  phases: Report['timing']['phases'];
  /** From the first request to the last load. */
  workMs: number;
  /** RFC 3339. */
  finishBy: string | null;
  overNewer: Report['run']['overNewer'];
  listFailure: Report['failures'][number] | null;
  sums: SumDefinition[];
  controls: ControlDefinition[];
  /** The job file says where the source gives its own count. */
  expectsTotal: boolean;
  standing: Standing | null;
  /** Null when the job does not mark, and of a sample, a dry run and a run that broke. */
  marking: Marking | null;
}

/** What became of the rows of contracts that are not listed any more. */
export interface Marking extends NonNullable<Report['marked']> {
  /** Rows that are to bear a mark, and those that do; null when the listing does not tell. */
  control: { expected: number; actual: number } | null;
}

/** What the target holds of the rows that the night has loaded, as its run is closed. */
export interface Standing {
  /** Rows that contracts of the night were loaded into, and those of them that are there. */
  loaded: number;
  rows: number;
  amounts: CurrencyAmount[];
}

/** How far two figures may be apart, at most the larger of both. */
export interface Tolerance {
  /** A decimal number. */
  absolute: string;
  /** Of the figure expected, from 0 to 1. */
  share: number;
}

export const severities = ['fail', 'warn'] as const;

/** How a control is judged, of whatever type. */
export interface Judged {
  tolerance: Tolerance;
  severity: (typeof severities)[number];
}

/** A control that the job file asks for; what each means stands there. */
export type ControlDefinition = (
  | { type: 'sum'; column: string; by?: string }
  /** Of a sum, since the latest closed night: fails at this share or more. */
  | { type: 'change'; column: string; by?: string; change: number }
  | { type: 'completeness'; atLeast: number }
  /** Of the number of contracts listed, since then; null takes any number. */
  | { type: 'listed'; change: number | null }
) &
  Judged;
