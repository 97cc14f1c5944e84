import type { Json } from './exact-json.ts';

/** `a.b[0].c` compiled to `['a', 'b', 0, 'c']`. */
export type JsonPath = readonly (string | number)[];

const segment = /(?:^|(?!^)\.)([^.[\]{}\s]+)|\[(\d+)\]/y;

/** Compiles `a.b[0].c`; undefined when the text is not a path. */
export function parseJsonPath(text: string): JsonPath | undefined {
  const path: (string | number)[] = [];
  segment.lastIndex = 0;
  while (segment.lastIndex < text.length) {
    const match = segment.exec(text);
    if (!match) return undefined;
    path.push(match[1] ?? Number(match[2]));
  }
  return path.length > 0 ? path : undefined;
}

export function formatJsonPath(path: JsonPath): string {
  return path.map((step, index) => (typeof step === 'number' ? `[${step}]` : index ? `.${step}` : step)).join('');
}

/** The value at the path; undefined when absent. Reads own properties only, so `__proto__` in an answer is an ordinary key. */
export function getPath(value: Json | undefined, path: JsonPath): Json | undefined {
  let current: Json | undefined = value;
  for (const step of path) {
    // JavaScript represents an exact number as an object, but it is a scalar.
    if (current === null || typeof current !== 'object' || JSON.isRawJSON(current)) return undefined;
    // An array's `length` is an own property, but not a value of the answer.
    if (Array.isArray(current) !== (typeof step === 'number') || !Object.hasOwn(current, step)) return undefined;
    current = (current as Record<string | number, Json>)[step];
  }
  return current;
}
