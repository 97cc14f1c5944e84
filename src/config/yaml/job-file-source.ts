import { LineCounter, parseDocument, type Document } from 'yaml';
import { JobFileError, type Problem } from './job-file-error.ts';
import { formatPath, pathKey, type Path } from './path.ts';
import { syntaxSentence } from './yaml-syntax.ts';
import { readValues, type Place } from './yaml-values.ts';

/** A job file's values, their positions, and the problems found so far. */
export class JobFileSource {
  /** The whole file as plain values, variables filled in. */
  readonly value: unknown;
  readonly #file: string;
  readonly #lines = new LineCounter();
  readonly #places: ReadonlyMap<string, Place>;
  readonly #problems: Problem[] = [];
  readonly #reported = new Set<string>();
  readonly #hidden: Path[] = [];

  /** Throws JobFileError when the text is not YAML. */
  constructor(file: string, text: string, environment: NodeJS.ProcessEnv) {
    this.#file = file;
    const { value, places } = readValues({
      document: this.#parse(text),
      environment,
      report: (path, message, offset) => this.#add(path, message, offset),
    });
    this.value = value;
    this.#places = places;
  }

  /** In the order of the file. */
  get problems(): Problem[] {
    return this.#problems.toSorted((one, other) => one.line - other.line || one.column - other.column);
  }

  /**
   * Adds a problem at a value, at its key (`at: 'key'`), or, for a missing value, at the key of its nearest parent.
   * One problem per path: later ones are mostly consequences of the first.
   */
  report(path: Path, message: string, at?: 'key'): void {
    this.#add(path, message, this.#offset(path, at));
  }

  /** Suppresses further problems at this path and below. */
  hide(path: Path): void {
    this.#hidden.push(path);
  }

  /** A problem at the value, without adding it. */
  locate(path: Path, message: string): Problem {
    return this.#problemAt(path, message, this.#offset(path));
  }

  /** The text a value was written as when a variable was filled in; undefined when there was none. */
  writtenAt(path: Path): string | undefined {
    return this.#places.get(pathKey(path))?.written;
  }

  /** Replaces a value that a variable gave, such as the text "50" by the number 50. */
  replace(path: Path, value: unknown): void {
    const parent = path.slice(0, -1).reduce<unknown>((inside, step) => Reflect.get(inside as object, step), this.value);
    Reflect.set(parent as object, path.at(-1)!, value);
  }

  #add(path: Path, message: string, offset: number): void {
    const isHidden = this.#hidden.some((hidden) => hidden.every((step, index) => path[index] === step));
    if (isHidden || this.#reported.has(pathKey(path))) return;
    this.#reported.add(pathKey(path));
    this.#problems.push(this.#problemAt(path, message, offset));
  }

  #problemAt(path: Path, message: string, offset: number): Problem {
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col), path: formatPath(path), message };
  }

  #offset(path: Path, at?: 'key'): number {
    const place = this.#places.get(pathKey(path));
    if (place) return at === 'key' ? (place.keyOffset ?? place.offset) : place.offset;
    return path.length === 0 ? 0 : this.#offset(path.slice(0, -1), 'key');
  }

  #parse(text: string): Document.Parsed {
    const document = parseDocument(text, {
      lineCounter: this.#lines,
      prettyErrors: false,
      stringKeys: true,
      resolveKnownTags: false,
      version: '1.2',
      // This prints nothing; 'silent' would also accept a second document without an error.
      logLevel: 'error',
    });
    const faults = [...document.errors, ...document.warnings];
    const add = (fault: (typeof faults)[number]) =>
      this.#problems.push(this.#problemAt([], syntaxSentence(fault), fault.pos[0]));
    // After a syntax error other than a duplicate key the rest is guesswork: only the first one is reported.
    const first = faults.find(({ code }) => code !== 'DUPLICATE_KEY');
    if (first) {
      add(first);
      throw new JobFileError(this.#file, this.#problems);
    }
    faults.forEach(add);
    return document;
  }
}
