const months = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];

const fields: { name: string; first: number; last: number; words?: string[] }[] = [
  { name: 'a minute', first: 0, last: 59 },
  { name: 'an hour', first: 0, last: 23 },
  { name: 'a day of the month', first: 1, last: 31 },
  { name: 'a month', first: 1, last: 12, words: months },
  { name: 'a day of the week', first: 0, last: 7, words: weekdays },
];

/**
 * What is wrong with a cron expression of five fields (POSIX, with names and steps); undefined when it is valid. Checked by
 * hand, because croner also takes seconds, years, `L`, `#` and @daily, which cron and systemd do not, and names no field.
 */
export function cronProblem(text: string): string | undefined {
  const parts = text.trim().split(/\s+/);
  if (parts.length !== fields.length) {
    return `expected five fields (minute hour day month weekday), got ${parts.length}`;
  }
  for (const [index, field] of fields.entries()) {
    for (const item of parts[index]!.split(',')) {
      if (!fits(item, field)) {
        return `"${item}" is not ${field.name} from ${field.first} to ${field.last}, a range such as ${field.first}-${field.last}, or a step such as */5`;
      }
    }
  }
  return undefined;
}

function fits(item: string, field: (typeof fields)[number]): boolean {
  const match = /^(?:\*|(\w+)(?:-(\w+))?)(?:\/(\d{1,2}))?$/.exec(item);
  if (!match) return false;
  const [, from, to, step] = match;
  const start = from === undefined ? field.first : valueOf(from, field);
  const end = to === undefined ? start : valueOf(to, field);
  const stepFits = step === undefined || (Number(step) > 0 && (from === undefined || to !== undefined));
  return start !== undefined && end !== undefined && start <= end && stepFits;
}

function valueOf(text: string, { first, last, words }: (typeof fields)[number]): number | undefined {
  const named = words?.indexOf(text.toLowerCase()) ?? -1;
  const value = named >= 0 ? named + first : /^\d{1,2}$/.test(text) ? Number(text) : NaN;
  return value >= first && value <= last ? value : undefined;
}
