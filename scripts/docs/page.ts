/*
 * A page of docs/ is written by hand, except for the parts between a line `<!-- written by npm run docs: NAME -->` and
 * the next `<!-- end -->`: those the generator replaces. So prose stands where it is read, and tables cannot drift.
 */
const part = /^<!-- written by npm run docs: (.+) -->\n([\s\S]*?)^<!-- end -->$/gm;

/** A page's generated parts by name, in order. */
export function partsOf(page: string): Map<string, string> {
  return new Map([...page.matchAll(part)].map(([, name, text]) => [name!, text!.trim()]));
}

/** The page with each generated part written anew. `write` gives the text of the part with that name. */
export function fillPage(page: string, write: (name: string) => string): string {
  return page.replace(
    part,
    (_, name: string) => `<!-- written by npm run docs: ${name} -->\n\n${write(name).trim()}\n\n<!-- end -->`,
  );
}

/** A Markdown table; a bar within a cell is escaped. Columns that are empty in all rows are left out. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const used = header.map((_, index) => rows.some((row) => row[index] !== ''));
  const line = (cells: readonly string[]): string =>
    `| ${cells
      .filter((_, index) => used[index])
      .map((cell) => cell.replaceAll('|', String.raw`\|`).replaceAll('\n', ' '))
      .join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}

export const code = (text: string): string => `\`${text}\``;

/** A value of a job file or an option, as one would write it. */
export const written = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

/** Throws when the page lacks a part for one of `wanted`, or has one for what does not exist. */
export function requireParts(file: string, page: string, wanted: readonly string[]): void {
  const present = [...partsOf(page).keys()];
  const lacking = wanted.filter((name) => !present.includes(name));
  const unknown = present.filter((name) => !wanted.includes(name));
  if (lacking.length === 0 && unknown.length === 0) return;
  throw new Error(
    [
      ...lacking.map((name) => `${file} has no part for ${name}; add the lines\n${emptyPart(name)}`),
      ...unknown.map((name) => `${file} has a part for ${name}, which does not exist; remove it`),
    ].join('\n'),
  );
}

export const emptyPart = (name: string): string => `<!-- written by npm run docs: ${name} -->\n<!-- end -->`;
