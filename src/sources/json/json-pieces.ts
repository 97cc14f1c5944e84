import { type Json, jsonTooDeep, parseExactJson, type ParseOptions, tooDeep } from './exact-json.ts';
import { endOfString, isClosing, isOpening } from './inexact-numbers.ts';

const comma = 0x2c;
const quote = 0x22;
const opening = { array: 0x5b, object: 0x7b };
const blank = /^[ \t\n\r]*$/;

/** A container that is too long to be parsed at once. */
interface Filling {
  value: Json[] | Record<string, Json>;
  /** It has members already: an end without another one after the last comma is no JSON. */
  begun: boolean;
}

/**
 * Reads a long JSON text in pieces: finds where containers and their members begin and end, and has each piece, as many
 * whole members of one container as come to `length` characters, parsed by the exact parser. A member that is longer is
 * filled member by member itself. So each character is looked at once and parsed once, however deep it stands.
 */
export class PieceReader {
  readonly #text: string;
  readonly #length: number;
  readonly #anyDepth: boolean;
  #index = 0;
  /** Everything before it is parsed. */
  #parsed = 0;
  /** Of the open containers, from the outside in: where each begins, and its last comma so far or -1. */
  readonly #starts: number[] = [];
  readonly #commas: number[] = [];
  #depth = 0;
  /** The outermost of the open containers, those that are filled in pieces. */
  readonly #filling: Filling[] = [];
  /** A filled container has just ended; only a comma or the end of the one around it can follow. */
  #afterFilled = false;
  #root: { value: Json } | undefined;

  constructor(text: string, { length, anyDepth = false }: ParseOptions & { length: number }) {
    this.#text = text;
    this.#length = length;
    this.#anyDepth = anyDepth;
  }

  /** Reads `length` characters on; false at the end. Throws SyntaxError. */
  readOn(): boolean {
    const text = this.#text;
    const stop = this.#index + this.#length;
    while (this.#index < text.length) {
      if (this.#index >= stop) return true;
      const code = text.charCodeAt(this.#index);
      if (code === quote) this.#index = endOfString(text, this.#index);
      else if (code === comma) this.#separate();
      else if (isOpening(code)) this.#open();
      else if (isClosing(code)) this.#close(code);
      this.#index += 1;
    }
    return false;
  }

  /** The whole value, at the end of the text. Throws SyntaxError and JSON_TOO_DEEP. */
  end(): Json {
    if (this.#starts.length > 0) throw this.#malformed();
    // Nothing had to be filled: one long text or number, or what is no JSON.
    if (!this.#root) return parseExactJson(this.#text, { anyDepth: this.#anyDepth });
    this.#expectBlank(this.#text.length);
    if (!this.#anyDepth && tooDeep(this.#depth)) throw jsonTooDeep();
    return this.#root.value;
  }

  #open(): void {
    this.#starts.push(this.#index);
    this.#commas.push(-1);
    this.#depth = Math.max(this.#depth, this.#starts.length);
    this.#parseUpToHere();
  }

  #separate(): void {
    const depth = this.#starts.length;
    if (depth === 0) throw this.#malformed();
    this.#commas[depth - 1] = this.#index;
    if (this.#afterFilled && depth === this.#filling.length) {
      this.#expectBlank(this.#index);
      this.#parsed = this.#index + 1;
      this.#afterFilled = false;
    }
    this.#parseUpToHere();
  }

  #close(code: number): void {
    const start = this.#starts.pop();
    this.#commas.pop();
    // The closing brackets stand two behind the opening ones.
    if (start === undefined || this.#text.charCodeAt(start) !== code - 2) throw this.#malformed();
    if (this.#starts.length >= this.#filling.length) return;
    if (this.#afterFilled) this.#expectBlank(this.#index);
    else if (this.#filling.at(-1)!.begun || !this.#isBlank(this.#index)) this.#fill(this.#index);
    this.#filling.pop();
    this.#parsed = this.#index + 1;
    this.#afterFilled = true;
  }

  /** Parses whole members while what is not parsed yet is too long for one piece, or looks for them within the next container. */
  #parseUpToHere(): void {
    while (this.#index - this.#parsed >= this.#length) {
      const filled = this.#filling.length;
      const lastComma = this.#commas[filled - 1] ?? -1;
      if (lastComma >= this.#parsed) {
        this.#fill(lastComma);
        this.#parsed = lastComma + 1;
      } else {
        const start = this.#starts[filled];
        if (start === undefined) return;
        this.#beginFilling(start);
      }
    }
  }

  #beginFilling(start: number): void {
    if (this.#afterFilled) throw this.#malformed();
    const value = this.#text.charCodeAt(start) === opening.array ? [] : {};
    const holder = this.#filling.at(-1);
    if (holder && !Array.isArray(holder.value)) setField(holder.value, this.#nameBefore(start), value);
    else {
      this.#expectBlank(start);
      if (holder) (holder.value as Json[]).push(value);
      else this.#root = { value };
    }
    if (holder) holder.begun = true;
    this.#filling.push({ value, begun: false });
    this.#parsed = start + 1;
  }

  /** Adds the members that stand before `end`, at least one of them, to the innermost container that is filled. */
  #fill(end: number): void {
    const filling = this.#filling.at(-1)!;
    const { value } = filling;
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
    filling.begun = true;
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
    return new SyntaxError(`The text is no JSON; it goes wrong before its character ${this.#index + 1}`);
  }
}

/** As JSON.parse does it: to `__proto__`, an assignment would be more. */
function setField(fields: Record<string, Json>, name: string, value: Json): void {
  if (name === '__proto__')
    Object.defineProperty(fields, name, { value, writable: true, enumerable: true, configurable: true });
  else fields[name] = value;
}
