import { markColumn } from '../jobs/job.ts';
import type { JobFileSource } from './yaml/job-file-source.ts';
import type { Path } from './yaml/path.ts';
import { parseJsonPath, type JsonPath } from '../sources/json/json-path.ts';
import { literalBraces, parseTemplate, templatePaths } from '../sources/json/template.ts';
import { findCycles, lookupNeeds } from './lookup-order.ts';
import type { Outline } from './yaml/outline.ts';
import { isExactNumericType, isPostgresType } from '../sinks/target/postgres-type.ts';
import { didYouMean } from './suggest.ts';

const dates = ['businessDate', 'businessMonth'];

/** Reports every reference to an unknown name, and lookups that depend on one another. */
export function checkReferences(outline: Outline, source: JobFileSource): void {
  checkApis(outline, source);
  checkTemplates(outline, source);
  const paths = Object.entries(outline.lookups).map(([name, lookup]) => {
    const texts = templatesOf(['lookups', name], lookup).map(([, text]) => text);
    return [name, texts.flatMap(pathsIn)] as const;
  });
  for (const cycle of findCycles(lookupNeeds(new Map(paths)))) {
    source.report(
      ['lookups', cycle[0]!],
      `these lookups depend on one another: ${[...cycle, cycle[0]].join(' → ')}; remove one of the references`,
      'key',
    );
  }
  for (const [name, { maxAge, onFailure }] of Object.entries(outline.lookups)) {
    if (maxAge !== undefined && onFailure !== 'last-known') {
      source.report(
        ['lookups', name, 'maxAge'],
        'maxAge applies only with onFailure: last-known; add that, or remove maxAge',
        'key',
      );
    }
  }
  checkColumns(outline, source);
  checkMarking(outline, source);
  checkControls(outline, source);
}

function checkApis({ apis, contracts, lookups }: Outline, source: JobFileSource): void {
  // Without any API the schema has reported that already.
  if (Object.keys(apis).length === 0) return;
  const users: [Path, string | undefined][] = [
    [['contracts', 'api'], contracts.api],
    ...Object.entries(lookups).map(([name, { api }]): [Path, string | undefined] => [['lookups', name, 'api'], api]),
  ];
  for (const [path, api] of users) {
    if (api !== undefined) checkName(source, { path, name: api, known: Object.keys(apis), what: 'an API under apis' });
  }
}

/** What a path in a lookup's templates may begin with. */
export const templateNames = (lookups: Outline['lookups']): string[] => [
  'key',
  ...dates,
  'listed',
  ...Object.keys(lookups),
];

function checkTemplates({ contracts, lookups }: Outline, source: JobFileSource): void {
  for (const [path, text] of templatesOf(['contracts'], contracts)) {
    for (const used of pathsIn(text)) {
      if (!isExactly(used, dates)) {
        source.report(
          path,
          `expected {businessDate} or {businessMonth} in the listing, got {${String(used[0])}}; ${literalBraces}`,
        );
      }
    }
  }
  const known = templateNames(lookups);
  for (const [name, lookup] of Object.entries(lookups)) {
    for (const [path, text] of templatesOf(['lookups', name], lookup)) {
      for (const used of pathsIn(text)) checkTemplatePath(used, { path, known, source });
    }
  }
}

function checkTemplatePath(
  used: JsonPath,
  { path, known, source }: { path: Path; known: string[]; source: JobFileSource },
) {
  const first = String(used[0]);
  if (isExactly(used, ['key', ...dates])) return;
  if (['key', ...dates].includes(first)) {
    source.report(path, `{${first}} is text and has no parts; write {${first}} alone`);
  } else if (known.includes(first) && used.length === 1) {
    source.report(path, `{${first}} is a whole record; name a value in it, such as {${first}.id}`);
  } else {
    checkName(source, { path, name: first, known, what: 'a path that begins with', or: literalBraces });
  }
}

function checkColumns({ lookups, load, transform }: Outline, source: JobFileSource): void {
  const known = ['listed', ...Object.keys(lookups)];
  for (const [name, { from }] of Object.entries(load.columns)) {
    const path = ['load', 'columns', name];
    const first = from === undefined ? undefined : parseJsonPath(from)?.[0];
    if (first !== undefined) {
      checkName(source, { path: [...path, 'from'], name: String(first), known, what: 'a path that begins with' });
    } else if (from === undefined && transform === undefined) {
      source.report([...path, 'from'], `expected from: a path such as listed.${name}, but it is missing`);
    }
  }
  for (const [index, key] of load.key.entries()) {
    const path = ['load', 'key', index];
    checkName(source, { path, name: key, known: Object.keys(load.columns), what: 'a column under load.columns' });
    if (load.key.indexOf(key) < index) source.report(path, `"${key}" is in the key already; name each column once`);
  }
}

function checkMarking({ contracts, load }: Outline, source: JobFileSource): void {
  if (load.missing !== 'mark') {
    if (load.markAtMost !== undefined) {
      const sentence = 'markAtMost applies only with missing: mark; add that, or remove markAtMost';
      source.report(['load', 'markAtMost'], sentence, 'key');
    }
    return;
  }
  if (contracts.total === undefined) {
    const sentence =
      "mark needs contracts.total, the source's own count: without it nothing proves that a contract is gone rather than not listed; add it, or use keep";
    source.report(['load', 'missing'], sentence);
  }
  if (Object.hasOwn(load.columns, markColumn.name)) {
    const sentence = `missing: mark needs the column name ${markColumn.name} for its mark; rename this column`;
    source.report(['load', 'columns', markColumn.name], sentence, 'key');
  }
}

function checkControls({ load, controls }: Outline, source: JobFileSource): void {
  const known = Object.keys(load.columns);
  for (const [index, control] of controls.entries()) {
    const other = controls.find(({ sum, by }) => sum !== undefined && sum === control.sum && by !== control.by);
    if (other && controls.indexOf(other) < index)
      source.report(
        ['controls', index],
        `expected ${control.sum} to be split as in the control above (${other.by ? `by: ${other.by}` : 'without by'}), because its amounts are kept once per contract`,
      );
    for (const part of ['sum', 'by'] as const) {
      const name = control[part];
      if (name === undefined) continue;
      const path = ['controls', index, part];
      checkName(source, { path, name, known, what: 'a column under load.columns' });
      const type = Object.hasOwn(load.columns, name) ? load.columns[name]?.type : undefined;
      if (part === 'sum' && type !== undefined && isPostgresType(type) && !isExactNumericType(type)) {
        source.report(
          path,
          `expected a column of an integer type or numeric, which add up exactly, and ${name} is ${type}; make it numeric`,
        );
      }
    }
  }
}

interface Reference {
  path: Path;
  name: string;
  known: string[];
  what: string;
  /** Another remedy to name. */
  or?: string;
}

function checkName(source: JobFileSource, { path, name, known, what, or }: Reference): void {
  if (known.includes(name)) return;
  const choice = known.length > 0 ? `${what} (${known.join(', ')})` : what;
  const written = source.writtenAt(path) ?? name;
  source.report(path, `expected ${choice}, got "${written}"${didYouMean(name, known)}${or ? `; ${or}` : ''}`);
}

/** The texts of a request that may contain braces, each with its path. */
export function templatesOf(
  at: Path,
  { path, query }: { path?: string | undefined; query: Record<string, string> },
): [Path, string][] {
  const parameters = Object.entries(query).map(([name, text]): [Path, string] => [[...at, 'query', name], text]);
  return path === undefined ? parameters : [[[...at, 'path'], path], ...parameters];
}

function pathsIn(text: string): JsonPath[] {
  try {
    return templatePaths(parseTemplate(text));
  } catch {
    // The schema has reported it.
    return [];
  }
}

function isExactly(path: JsonPath, names: string[]): boolean {
  return path.length === 1 && names.includes(String(path[0]));
}
