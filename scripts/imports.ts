import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';

export interface SourceFile {
  /** Below the folder, for example `jobs/run/run.ts`. */
  path: string;
  text: string;
  /** The files of the folder that it imports, types included. */
  imports: Set<string>;
}

const declaration = /^(?:import|export)\s[^'";]*?from\s*'(\.[^']+)'|\bimport\(\s*'(\.[^']+)'/gms;

/** The TypeScript files below `folder`, by path. */
export async function readSources(folder: string): Promise<Map<string, SourceFile>> {
  const names = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.ts')).toSorted();
  const files = await Promise.all(
    names.map(async (path): Promise<SourceFile> => {
      const text = await readFile(join(folder, path), 'utf8');
      const imports = new Set<string>();
      for (const [, from, lazily] of text.matchAll(declaration)) {
        const target = normalize(join(dirname(path), from ?? lazily!));
        if (names.includes(target)) imports.add(target);
      }
      return { path, text, imports };
    }),
  );
  return new Map(files.map((file) => [file.path, file]));
}

/** The circles: groups of files in which each imports, directly or through others, each other (Tarjan's algorithm). */
export function circlesOf(files: ReadonlyMap<string, SourceFile>): string[][] {
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const open: string[] = [];
  const circles: string[][] = [];
  const visit = (path: string): void => {
    order.set(path, order.size);
    lowest.set(path, order.get(path)!);
    open.push(path);
    for (const target of files.get(path)!.imports) {
      if (!order.has(target)) visit(target);
      if (open.includes(target)) lowest.set(path, Math.min(lowest.get(path)!, lowest.get(target)!));
    }
    if (lowest.get(path) !== order.get(path)) return;
    const circle = open.splice(open.indexOf(path));
    if (circle.length > 1) circles.push(circle.toSorted());
  };
  for (const path of files.keys()) if (!order.has(path)) visit(path);
  return circles;
}
