import { type Json, jsonTooDeep, parseExactJson, type ParseOptions, tooDeep } from './exact-json.ts';
import { endOfString, isClosing, isOpening } from './inexact-numbers.ts';

const comma = 0x2c;
const quote = 0x22;
const opening = { array: 0x5b, object: 0x7b };
const blank = /^[ \t\n\r]*$/;

/** A container that is too long to be parsed at once, with the members parsed so far. */
interface PartialContainer {
  value: Json[] | Record<string, Json>;
  /** Whether it has a member already; then an end right after a comma is invalid. */
  hasMembers: boolean;
}

/**
 * Parses a long JSON text in pieces. It finds where containers and their members begin and end, and gives the exact parser
 * one piece at a time: whole members of one container with about `length` characters. A longer member is itself parsed
 * member by member. Each character is scanned once and parsed once, at any depth.
 */
export class PieceReader {
  readonly #text: string;
  readonly #length: number;
  readonly #anyDepth: boolean;
  #index = 0;
  /** Everything before it is parsed. */
  #parsed = 0;
  /** For each open container, outermost first: where it begins, and its last comma so far or -1. */
  readonly #starts: number[] = [];
  readonly #commas: number[] = [];
  #depth = 0;
  /** The outermost open containers, those that are parsed in pieces. */
  readonly #partials: PartialContainer[] = [];
  /** A partial container has just ended; only a comma or the end of its parent may follow. */
  #afterPartial = false;
  #root: { value: Json } | undefined;

  constructor(text: string, { length, anyDepth = false }: ParseOptions & { length: number }) {
    this.#text = text;
    this.#length = length;
    this.#anyDepth = anyDepth;
  }

  /** Reads the next `length` characters; false at the end. Throws SyntaxError. */
  readNext(): boolean {
    const text = this.#text;
    const stop = this.#index + this.#length;
    while (this.#index < text.length) {
      if (this.#index >= stop) return true;
      const code = text.charCodeAt(this.#index);
      if (code === quote) this.#index = endOfString(text, this.#index);
      else if (code === comma) this.#onComma();
      else if (isOpening(code)) this.#onOpen();
      else if (isClosing(code)) this.#onClose(code);
      this.#index += 1;
    }
    return false;
  }

  /** The whole value, at the end of the text. Throws SyntaxError and JSON_TOO_DEEP. */
  end(): Json {
    if (this.#starts.length > 0) throw this.#malformed();
    // There was no long container: the text is one long string or number, or invalid.
    if (!this.#root) return parseExactJson(this.#text, { anyDepth: this.#anyDepth });
    this.#expectBlank(this.#text.length);
    if (!this.#anyDepth && tooDeep(this.#depth)) throw jsonTooDeep();
    return this.#root.value;
  }

  #onOpen(): void {
    this.#starts.push(this.#index);
    this.#commas.push(-1);
    this.#depth = Math.max(this.#depth, this.#starts.length);
    this.#parseUpToHere();
  }

  #onComma(): void {
    const depth = this.#starts.length;
    if (depth === 0) throw this.#malformed();
    this.#commas[depth - 1] = this.#index;
    if (this.#afterPartial && depth === this.#partials.length) {
      this.#expectBlank(this.#index);
      this.#parsed = this.#index + 1;
      this.#afterPartial = false;
    }
    this.#parseUpToHere();
  }

  #onClose(code: number): void {
    const start = this.#starts.pop();
    this.#commas.pop();
    // The code of a closing bracket is that of its opening bracket plus 2.
    if (start === undefined || this.#text.charCodeAt(start) !== code - 2) throw this.#malformed();
    if (this.#starts.length >= this.#partials.length) return;
    if (this.#afterPartial) this.#expectBlank(this.#index);
    else if (this.#partials.at(-1)!.hasMembers || !this.#isBlank(this.#index)) this.#addMembers(this.#index);
    this.#partials.pop();
    this.#parsed = this.#index + 1;
    this.#afterPartial = true;
  }

  /** While the unparsed text is too long for one piece, parses whole members of it or enters the next container. */
  #parseUpToHere(): void {
    while (this.#index - this.#parsed >= this.#length) {
      const filled = this.#partials.length;
      const lastComma = this.#commas[filled - 1] ?? -1;
      if (lastComma >= this.#parsed) {
        this.#addMembers(lastComma);
        this.#parsed = lastComma + 1;
      } else {
        const start = this.#starts[filled];
        if (start === undefined) return;
        this.#enterContainer(start);
      }
    }
  }

  #enterContainer(start: number): void {
    if (this.#afterPartial) throw this.#malformed();
    const value = this.#text.charCodeAt(start) === opening.array ? [] : {};
    const holder = this.#partials.at(-1);
    if (holder && !Array.isArray(holder.value)) setField(holder.value, this.#nameBefore(start), value);
    else {
      this.#expectBlank(start);
      if (holder) (holder.value as Json[]).push(value);
      else this.#root = { value };
    }
    if (holder) holder.hasMembers = true;
    this.#partials.push({ value, hasMembers: false });
    this.#parsed = start + 1;
  }

  /** Parses the members before `end`, at least one, and adds them to the innermost partial container. */
  #addMembers(end: number): void {
    const container = this.#partials.at(-1)!;
    const { value } = container;
    const piece = this.#text.slice(this.#parsed, end);
    let added: number;
    if (Array.isArray(value)) {
      const items = parseExactJson(`[${piece}]`, { anyDepth: true }) as Json[];
      for (const item of items) value.push(item);
      added = items.length;
    } else {
      const fields = Object.entries(parseExactJson(`{${piece}}`, { anyDepth: true }) as Record<string, Json>);
      for (const [name, field] of fields) setField(value, name, field);
      added = fields.length;
    }
    if (added === 0) throw this.#malformed();
    container.hasMembers = true;
  }

  /** The name of the field whose value begins at `start`. */
  #nameBefore(start: number): string {
    const field = parseExactJson(`{${this.#text.slice(this.#parsed, start)}[]}`) as Record<string, Json>;
    const [name] = Object.keys(field);
    if (name === undefined) throw this.#malformed();
    return name;
  }

  #isBlank(end: number): boolean {
    return blank.test(this.#text.slice(this.#parsed, end));
  }

  #expectBlank(end: number): void {
    if (!this.#isBlank(end)) throw this.#malformed();
  }

  #malformed(): SyntaxError {
    return new SyntaxError(`The text is not valid JSON; the error is before character ${this.#index + 1}`);
  }
}

/** Sets the field as JSON.parse does: assigning to `__proto__` would change the prototype instead. */
function setField(fields: Record<string, Json>, name: string, value: Json): void {
  if (name === '__proto__')
    Object.defineProperty(fields, name, { value, writable: true, enumerable: true, configurable: true });
  else fields[name] = value;
}
