import { NightfillError } from '../resilience/failure.ts';
import { isExactNumber, numberText, type Json } from './exact-json.ts';
import { formatJsonPath, parseJsonPath, type JsonPath } from './json-path.ts';

/** `/contracts/{key}` compiled: literal text and paths in turn. */
export interface Template {
  readonly source: string;
  readonly parts: readonly (string | JsonPath)[];
}

/** Finds what stands at a path such as `key`, `businessMonth` or `contract.customerId`; undefined when absent. */
export type Resolve = (path: JsonPath) => Json | undefined;

/** Compiles `text`; the message says which brace is wrong. Throws SyntaxError. */
export function parseTemplate(text: string): Template {
  const parts: (string | JsonPath)[] = [];
  let rest = 0;
  for (const match of text.matchAll(/\{([^{}]*)\}/g)) {
    if (match.index > rest) parts.push(text.slice(rest, match.index));
    const path = parseJsonPath(match[1]!);
    if (!path) throw new SyntaxError(`{${match[1]}} is not a path such as {key} or {contract.customerId}`);
    parts.push(path);
    rest = match.index + match[0].length;
  }
  if (rest < text.length) parts.push(text.slice(rest));
  const stray = parts.find((part) => typeof part === 'string' && /[{}]/.test(part));
  if (stray !== undefined) throw new SyntaxError(`a brace without its partner in "${text}"`);
  return { source: text, parts };
}

/** The paths that stand in braces. */
export function templatePaths(template: Template): JsonPath[] {
  return template.parts.filter((part) => typeof part !== 'string');
}

/** Fills in the braces, each value passed through `encode`. Throws TEMPLATE_VALUE_MISSING when a value is absent, null or not a scalar. */
export function renderTemplate(
  template: Template,
  resolve: Resolve,
  encode: (text: string) => string = encodeURIComponent,
): string {
  return template.parts
    .map((part) => (typeof part === 'string' ? part : encode(scalarText(resolve(part), part, template))))
    .join('');
}

function scalarText(value: Json | undefined, path: JsonPath, template: Template): string {
  if (typeof value === 'string' && value.isWellFormed()) return value;
  if (typeof value === 'boolean') return String(value);
  if (isExactNumber(value)) return numberText(value);
  throw new NightfillError({
    code: 'TEMPLATE_VALUE_MISSING',
    class: 'data',
    message: `"${template.source}" needs a text, number or boolean at ${formatJsonPath(path)}, and there is ${value === undefined ? 'nothing' : value === null ? 'null' : 'another kind of value'}`,
  });
}
