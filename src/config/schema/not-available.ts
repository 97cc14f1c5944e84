import type { JobFileSource } from '../yaml/job-file-source.ts';
import { valueAt, type Path } from '../yaml/path.ts';

interface Refusal {
  /** `*` stands for any name. */
  at: readonly string[];
  /** Whether the value there is one that is to come; when absent, any value is. */
  when?: (value: unknown) => boolean;
  message: string;
  /** How many steps above are not looked at further, because all that stands there belongs to it. */
  hides?: number;
}

/** What the contract promises and this version does not do yet. When it lands, its line goes. */
const refusals: readonly Refusal[] = [
  {
    at: ['apis', '*', 'type'],
    when: (type) => ['netsuite', 'salesforce', 'hubspot'].includes(String(type)),
    message: 'netsuite, salesforce and hubspot are not available yet in this version; use rest',
    hides: 1,
  },
];

/** Reports what is not available yet, and hides what belongs to it. */
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
