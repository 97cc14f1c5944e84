import type { JsonPath } from '../sources/json/json-path.ts';

/** For each lookup the names of the others whose answers it uses, from the paths in its templates. */
export function lookupNeeds(paths: ReadonlyMap<string, readonly JsonPath[]>): Map<string, string[]> {
  return new Map(
    paths.entries().map(([name, used]) => {
      const first = new Set(used.map(([step]) => String(step)));
      return [name, [...first].filter((step) => paths.has(step))];
    }),
  );
}

/** The names in dependency order, otherwise in the given order. There must be no cycle. */
export function inDependencyOrder(needs: Map<string, string[]>): string[] {
  const ordered = new Set<string>();
  const visit = (name: string) => {
    for (const needed of needs.get(name) ?? []) if (!ordered.has(needed)) visit(needed);
    ordered.add(name);
  };
  for (const name of needs.keys()) visit(name);
  return [...ordered];
}

/** Names that depend on one another, each cycle once. */
export function findCycles(needs: Map<string, string[]>): string[][] {
  const cycles: string[][] = [];
  const done = new Set<string>();
  const visit = (name: string, trail: string[]) => {
    const start = trail.indexOf(name);
    if (start >= 0) cycles.push(trail.slice(start));
    if (start >= 0 || done.has(name)) return;
    for (const needed of needs.get(name) ?? []) visit(needed, [...trail, name]);
    done.add(name);
  };
  for (const name of needs.keys()) visit(name, []);
  return cycles;
}
