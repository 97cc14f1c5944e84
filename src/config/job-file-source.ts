import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document, type Scalar } from 'yaml';
import { interpolate } from './interpolate.ts';
import { JobFileError, type Problem } from './job-file-error.ts';
import { syntaxSentence } from './yaml-syntax.ts';

export type Path = readonly PropertyKey[];

/** Far above any job, far below what an alias bomb expands to. */
const mostValues = 20_000;
const deepest = 50;

interface Place {
  offset: number;
  keyOffset?: number;
  /** The text as the file has it, where a variable was filled in. */
  written?: string;
}

/** A job file's values and, for each, where it stands. */
export class JobFileSource {
  /** The whole file as plain values, variables filled in. */
  readonly value: unknown;
  readonly problems: Problem[] = [];
  readonly #lines = new LineCounter();
  readonly #places = new Map<string, Place>();
  readonly #told = new Set<string>();
  readonly #hidden: Path[] = [];
  readonly #file: string;

  /** Throws a JobFileError when the text is not YAML. */
  constructor(file: string, text: string, environment: NodeJS.ProcessEnv) {
    this.#file = file;
    const document = this.#parse(text);
    const reader = new ValueReader(document, environment, this.#places, (path, message, offset) =>
      this.report(path, message, { offset }),
    );
    this.value = reader.read(document.contents, []);
  }

  /** The text a value was written as when variables were filled in; undefined when there were none. */
  writtenAt(path: Path): string | undefined {
    return this.#places.get(pathKey(path))?.written;
  }

  /** Replaces a value that a variable gave, such as the text "50" by the number 50. */
  replace(path: Path, value: unknown): void {
    const parent = path.slice(0, -1).reduce<unknown>((inside, step) => Reflect.get(inside as object, step), this.value);
    Reflect.set(parent as object, path.at(-1)!, value);
  }

  /**
   * Adds a problem at a value, at its key (`at: 'key'`), or for what is missing at the nearest thing around it.
   * One place has one problem: what is found there later is mostly a consequence.
   */
  report(path: Path, message: string, where: { at?: 'key'; offset?: number } = {}): void {
    const isTold = this.#hidden.some((hidden) => hidden.every((step, index) => path[index] === step));
    if (isTold || this.#told.has(pathKey(path))) return;
    if (path.length > 0) this.#told.add(pathKey(path));
    this.problems.push(this.locate(path, message, where));
  }

  /** Nothing more is said about this place and what stands in it. */
  hide(path: Path): void {
    this.#hidden.push(path);
  }

  inOrder(): Problem[] {
    return this.problems.toSorted((one, other) => one.line - other.line || one.column - other.column);
  }

  locate(path: Path, message: string, { at, offset }: { at?: 'key'; offset?: number } = {}): Problem {
    const { line, col } = this.#lines.linePos(offset ?? this.#offset(path, at));
    return { line: Math.max(1, line), column: Math.max(1, col), path: formatPath(path), message };
  }

  #offset(path: Path, at: 'key' | undefined): number {
    const place = this.#places.get(pathKey(path));
    if (place) return at === 'key' ? (place.keyOffset ?? place.offset) : place.offset;
    return path.length === 0 ? 0 : this.#offset(path.slice(0, -1), 'key');
  }

  #parse(text: string): Document.Parsed {
    const document = parseDocument(text, {
      lineCounter: this.#lines,
      prettyErrors: false,
      stringKeys: true,
      merge: false,
      resolveKnownTags: false,
      version: '1.2',
      logLevel: 'silent',
    });
    const faults = [...document.errors, ...document.warnings];
    // After a syntax error everything that follows is guesswork: the first one alone is worth reading.
    const first = faults.find(({ code }) => code !== 'DUPLICATE_KEY');
    const told = first ? [first] : faults;
    for (const fault of told) this.report([], syntaxSentence(fault, text), { offset: fault.pos[0] });
    if (first) throw new JobFileError(this.#file, this.problems);
    return document;
  }
}

/** Reads nodes into values, noting where each stands. */
class ValueReader {
  readonly #document: Document.Parsed;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #places: Map<string, Place>;
  readonly #report: (path: Path, message: string, offset: number) => void;
  readonly #open = new Set<unknown>();
  #values = 0;

  constructor(
    document: Document.Parsed,
    environment: NodeJS.ProcessEnv,
    places: Map<string, Place>,
    report: (path: Path, message: string, offset: number) => void,
  ) {
    this.#document = document;
    this.#environment = environment;
    this.#places = places;
    this.#report = report;
  }

  read(node: unknown, path: Path, keyOffset?: number): unknown {
    const range = isScalar(node) || isMap(node) || isSeq(node) || isAlias(node) ? node.range : undefined;
    const place: Place = { offset: range?.[0] ?? keyOffset ?? 0, ...(keyOffset === undefined ? {} : { keyOffset }) };
    this.#places.set(pathKey(path), place);
    if (++this.#values > mostValues) {
      if (this.#values === mostValues + 1)
        this.#report(
          path,
          `expected at most ${mostValues} values in a job file, and its aliases make more; write fewer of them`,
          place.offset,
        );
      return undefined;
    }
    const target = isAlias(node) ? node.resolve(this.#document) : node;
    if (isScalar(target)) return this.#scalar(target, path, place);
    if (!isMap(target) && !isSeq(target)) return null;
    if (this.#open.has(target) || path.length > deepest) {
      this.#report(
        path,
        this.#open.has(target)
          ? 'this alias stands inside what it refers to; write the values out'
          : `expected at most ${deepest} levels`,
        place.offset,
      );
      return undefined;
    }
    this.#open.add(target);
    const value = isSeq(target)
      ? target.items.map((item, index) => this.read(item, [...path, index]))
      : Object.fromEntries(
          target.items.map(({ key, value: child }) => {
            const keyNode = key as Scalar<string>;
            return [keyNode.value, this.read(child, [...path, keyNode.value], keyNode.range?.[0])];
          }),
        );
    this.#open.delete(target);
    return value;
  }

  #scalar(node: Scalar, path: Path, place: Place): unknown {
    if (typeof node.value !== 'string') return exactScalar(node, path);
    const { text, problems } = interpolate(node.value, this.#environment);
    if (problems.length > 0) this.#report(path, problems.join('; '), place.offset);
    if (text !== node.value) place.written = node.value;
    return problems.length > 0 ? undefined : text;
  }
}

/** A number or boolean; its text where text is meant (a query), its digits unchanged where a column takes it. */
function exactScalar({ value, source }: Scalar, path: Path): unknown {
  if (path.at(-1) === 'onFailure' && source === 'null') return source;
  if (value === null || source === undefined) return value;
  if (path.at(-2) === 'query' || path.at(-2) === 'headers') return source;
  const isColumnDefault = path[0] === 'load' && path[1] === 'columns' && path[3] === 'default';
  const losesDigits = typeof value === 'number' && String(value) !== source;
  if (!isColumnDefault || !losesDigits) return value;
  return /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?$/.test(source) ? JSON.rawJSON(source) : value;
}

function pathKey(path: Path): string {
  return JSON.stringify(path);
}

/** `load.columns.id`, `controls[0].sum` */
export function formatPath(path: Path): string {
  return path
    .map((step, index) => (typeof step === 'number' ? `[${step}]` : `${index ? '.' : ''}${String(step)}`))
    .join('');
}
