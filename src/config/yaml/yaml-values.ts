import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Document,
  type Node,
  type Scalar,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml';
import { interpolate } from './interpolate.ts';
import { pathKey, type Path } from './path.ts';

/** Far more than any job has, far fewer than an alias bomb expands to. */
const mostValues = 20_000;
const deepest = 50;

export interface Place {
  offset: number;
  keyOffset?: number;
  /** The text as the file has it, where a variable was filled in. */
  written?: string;
}

interface Reading {
  document: Document.Parsed;
  environment: NodeJS.ProcessEnv;
  report: (path: Path, message: string, offset: number) => void;
  /** By path key. */
  places: Map<string, Place>;
}

/**
 * The document as plain values, variables filled in and aliases followed, with the position of each. By hand rather than
 * by yaml's `visit` and `toJS`: a value may depend on the path of the alias that uses it, `toJS` makes a circular object
 * of an alias to its own parent, and its error about `maxAliasCount` has no position.
 */
export function readValues(reading: Omit<Reading, 'places'>): { value: unknown; places: Map<string, Place> } {
  const places = new Map<string, Place>();
  const value = new Reader({ ...reading, places }).read(reading.document.contents, []);
  return { value, places };
}

class Reader {
  readonly #reading: Reading;
  /** The collections that contain the node being read; an alias to one of them is a cycle. */
  readonly #ancestors = new Set<Node>();

  constructor(reading: Reading) {
    this.#reading = reading;
  }

  read(node: Node | null, path: Path, keyOffset?: number): unknown {
    const { document, places } = this.#reading;
    const offset = node?.range?.[0] ?? keyOffset ?? 0;
    const place = { offset, ...(keyOffset === undefined ? {} : { keyOffset }) };
    places.set(pathKey(path), place);
    const target = isAlias(node) ? node.resolve(document) : node;
    if (isAlias(node) && !target) {
      this.#reading.report(path, 'no anchor of this name comes before; text that begins with * needs quotes', offset);
      return undefined;
    }
    if (isScalar(target)) return this.#readScalar(target, path, place);
    if (!isMap(target) && !isSeq(target)) return null;
    const refused = this.#refuse(target, path);
    if (refused !== undefined) {
      this.#reading.report(path, refused, offset);
      return undefined;
    }
    this.#ancestors.add(target);
    const value = isSeq(target) ? this.#readList(target, path) : this.#readMapping(target, path);
    this.#ancestors.delete(target);
    return value;
  }

  #refuse(target: Node, path: Path): string | undefined {
    if (this.#ancestors.has(target)) return 'this alias refers to a value that contains it; write the values out';
    if (path.length > deepest) return `expected at most ${deepest} levels, got more`;
    if (this.#reading.places.size <= mostValues) return undefined;
    return `expected at most ${mostValues} values with aliases expanded, got more; write fewer`;
  }

  #readList(list: YAMLSeq, path: Path): unknown[] {
    return list.items.map((item, index) => this.read(item as Node | null, [...path, index]));
  }

  #readMapping(map: YAMLMap, path: Path): Record<string, unknown> {
    const entries = map.items.flatMap(({ key, value }) => {
      const { value: name, range } = key as Scalar<string>;
      // It would set the prototype of the object it is copied to, or be skipped silently.
      if (name !== '__proto__') return [[name, this.read(value as Node | null, [...path, name], range?.[0])] as const];
      this.#reading.report([...path, name], 'expected another name than __proto__', range?.[0] ?? 0);
      return [];
    });
    return Object.fromEntries(entries);
  }

  #readScalar(node: Scalar, path: Path, place: Place): unknown {
    const { environment, report } = this.#reading;
    if (typeof node.value === 'number' && !Number.isFinite(node.value)) {
      report(path, 'expected a number with digits, got .inf or .nan', place.offset);
      return undefined;
    }
    if (typeof node.value !== 'string') return exactScalar(node, path);
    const { text, problems } = interpolate(node.value, environment);
    if (text !== node.value) place.written = node.value;
    if (problems.length === 0) return text;
    report(path, problems.join('; '), place.offset);
    return undefined;
  }
}

/** A number, boolean or null; its text where text is expected, and its exact digits as a column's default. */
function exactScalar({ value, source }: Scalar, path: Path): unknown {
  if (path.at(-1) === 'onFailure' && source === 'null') return source;
  if (value === null || source === undefined) return value;
  if (path.at(-2) === 'query' || path.at(-2) === 'headers') return source;
  const isColumnDefault = path[0] === 'load' && path[1] === 'columns' && path[3] === 'default';
  const losesDigits = typeof value === 'number' && String(value) !== source;
  if (!isColumnDefault || !losesDigits) return value;
  return /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?$/.test(source) ? JSON.rawJSON(source) : value;
}
