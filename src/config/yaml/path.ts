/** The path of a value in a job file: keys and positions. */
export type Path = readonly PropertyKey[];

/** `load.columns.id`, `controls[0].sum` */
export function formatPath(path: Path): string {
  return path
    .map((step, index) => (typeof step === 'number' ? `[${step}]` : `${index ? '.' : ''}${String(step)}`))
    .join('');
}

/** A text that identifies the path; unlike the formatted one it distinguishes a key with a dot from two keys. */
export function pathKey(path: Path): string {
  return JSON.stringify(path);
}

/** The value at the path, own properties only; undefined when absent. */
export function valueAt(value: unknown, path: Path): unknown {
  let current = value;
  for (const step of path) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, step)) return undefined;
    current = Reflect.get(current, step);
  }
  return current;
}
