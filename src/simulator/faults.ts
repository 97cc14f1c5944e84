import { UsageError } from '../resilience/failure.ts';
import { hash } from './hash.ts';

/** What each fault does to a request. */
export const faultMeanings = {
  dead: 'the record answers 500, always',
  missing: 'the record answers 404, always',
  flaky: 'the record (or listing page) answers 500 or 503 on its first one or two attempts, then as it should',
  hanging: 'the attempt is never answered',
  malformed: 'the attempt is answered 200 with broken JSON',
  truncated: 'the socket is closed before the announced content-length',
  reset: 'the socket is reset without an answer',
  dripping: 'the answer begins, and then a byte comes now and then, forever',
  html: 'the attempt is answered 200 with an HTML error page',
  slow: 'the attempt is answered as it should, late',
} as const;

export type Fault = keyof typeof faultMeanings;
export const faultNames = Object.keys(faultMeanings) as Fault[];

/** Shares between 0 and 1: of the records for `dead`, `missing` and `flaky`, of the attempts for the others. */
export type Faults = Partial<Record<Fault, number>>;

/** Reads `flaky=0.05,dead=1%`. Throws UsageError. */
export function parseFaults(text: string): Faults {
  const faults = new Map<string, number>();
  for (const part of text.split(',')) {
    if (part.trim() === '') continue;
    const match = /^\s*([^=\s]+)\s*=\s*(\d+(?:\.\d+)?|\.\d+)\s*(%?)\s*$/.exec(part);
    if (!match) {
      throw new UsageError(
        `Faults are written as flaky=0.05,dead=1%; "${part.trim()}" is not a name, "=" and a share.`,
      );
    }
    const [, name = '', digits, percent] = match;
    if (faults.has(name)) throw new UsageError(`The fault "${name}" is given twice; give it one share.`);
    faults.set(name, percent ? Number(digits) / 100 : Number(digits));
  }
  return checkFaults(Object.fromEntries(faults));
}

/** The same faults, checked to exist and to have shares between 0 and 1. Throws UsageError. */
export function checkFaults(faults: Readonly<Record<string, unknown>>): Faults {
  for (const [name, share] of Object.entries(faults)) {
    if (!Object.hasOwn(faultMeanings, name)) {
      throw new UsageError(`There is no fault "${name}"; there are ${faultNames.join(', ')}.`);
    }
    if (typeof share !== 'number' || !(share >= 0 && share <= 1)) {
      throw new UsageError(`The share of "${name}" must be between 0 and 1 (or 0% and 100%), and is ${String(share)}.`);
    }
  }
  return faults;
}

/** One request: `index` is the number of the record or page, `attempt` counts from 1. */
export interface Attempt {
  kind: 'record' | 'listing';
  index: number;
  attempt: number;
}

/** The fault of an attempt, if any; the first in the order of `faultMeanings` wins. */
export type DecideFault = (attempt: Attempt) => Fault | undefined;

/**
 * A higher share only adds records and attempts with the fault, because each fault draws independently. A listing page is at
 * most flaky, because without a listing there is no run.
 */
export function faultDecision(seed: number, faults: Faults): DecideFault {
  const active = faultNames
    .map((name, order) => ({ name, salt: 100 + order, below: (faults[name] ?? 0) * 2 ** 32 }))
    .filter(({ below }) => below > 0);
  return ({ kind, index, attempt }) => {
    for (const { name, salt, below } of active) {
      if (kind === 'listing' && name !== 'flaky') continue;
      const kindSeed = kind === 'listing' ? ~seed : seed;
      if (name === 'dead' || name === 'missing') {
        if (hash(kindSeed, index, salt) < below) return name;
      } else if (name === 'flaky') {
        if (hash(kindSeed, index, salt) < below && attempt <= 1 + (hash(kindSeed, index, salt + 50) % 2)) return name;
      } else if (hash(hash(kindSeed, index, salt), attempt, salt) < below) return name;
    }
    return undefined;
  };
}
