import type { Json } from '../sources/json/exact-json.ts';
import type { AdviceAction } from './failure.ts';

/** A contract of the frozen plan. */
export interface PlannedContract {
  key: string;
  /** What is kept of its record in the listing. */
  listed: Json;
  /** Why its record cannot be worked on; null when it can. */
  problem: string | null;
  /** Undefined when it has not failed so far. */
  failedBefore?: EarlierFailure;
}

/** How a contract failed before. */
export interface EarlierFailure {
  lookup: string | null;
  code: string;
  httpStatus: number | null;
  /** Requests made for it, all runs together. */
  attempts: number;
  advice: AdviceAction;
}

export interface PlannedChunk {
  number: number;
  contracts: PlannedContract[];
}

/** Which contracts of a plan a run works on. */
export interface WorkSelection {
  /** Chunk numbers; all when absent. */
  chunks?: readonly number[];
  /** Whole chunks, not only what failed or never started. */
  wholeChunks?: boolean;
  onlyTransient?: boolean;
  /** Only what failed in this run and may have its second chance. */
  secondChanceOf?: string;
}
