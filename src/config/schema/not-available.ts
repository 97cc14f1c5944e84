import { apiKindNames, apiKinds } from '../../sources/api/kinds.ts';
import type { JobFileSource } from '../yaml/job-file-source.ts';
import { valueAt, type Path } from '../yaml/path.ts';

interface Refusal {
  /** `*` stands for any name. */
  at: readonly string[];
  /** Whether the value asks for the feature. Default: any value does. */
  when?: (value: unknown) => boolean;
  message: string;
  /** How many levels up further problems are suppressed, because everything there belongs to the feature. */
  hides?: number;
}

const plannedKinds = ['netsuite', 'salesforce', 'hubspot'].filter((name) => !(name in apiKinds));

/** Planned features that this version does not have. Remove a line when its feature lands; a kind of API goes by itself. */
const refusals: readonly Refusal[] = [
  {
    at: ['apis', '*', 'type'],
    when: (type) => plannedKinds.includes(String(type)),
    message: `${plannedKinds.join(', ')} are not available yet in this version; use ${apiKindNames.join(', ')}`,
    hides: 1,
  },
];

/** Reports features that are not available yet, and suppresses further problems of theirs. */
export function refuseNotAvailable(source: JobFileSource): void {
  for (const { at, when = () => true, message, hides = 0 } of refusals) {
    for (const path of placesOf(source.value, at)) {
      if (!when(valueAt(source.value, path))) continue;
      source.report(path, message);
      if (hides > 0) source.hide(path.slice(0, -hides));
    }
  }
}

function placesOf(value: unknown, [step, ...rest]: readonly string[], above: Path = []): Path[] {
  if (step === undefined) return [above];
  if (typeof value !== 'object' || value === null) return [];
  const keys = step === '*' ? Object.keys(value) : Object.hasOwn(value, step) ? [step] : [];
  return keys.flatMap((key) => placesOf(valueAt(value, [key]), rest, [...above, key]));
}
