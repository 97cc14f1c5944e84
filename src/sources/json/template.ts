import { NightfillError } from '../../resilience/failure.ts';
import { scalarText, type Json } from './exact-json.ts';
import { formatJsonPath, parseJsonPath, type JsonPath } from './json-path.ts';

/** `/contracts/{key}` compiled to literal texts and paths. */
export interface Template {
  readonly source: string;
  readonly parts: readonly (string | JsonPath)[];
}

/** Gives the value at a path such as `key`, `businessMonth` or `contract.customerId`; undefined when absent. */
export type Resolve = (path: JsonPath) => Json | undefined;

/** A malformed template. The message does not quote the template, because it may contain an environment variable's value. */
class TemplateError extends SyntaxError {}

const tokens = /\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+/g;

/** Compiles `text`; `{{` and `}}` are literal braces, read from the left as in Python and Rust. Throws TemplateError. */
export function parseTemplate(text: string): Template {
  const parts: (string | JsonPath)[] = [];
  let literal = '';
  for (const { 0: token, 1: inside, index } of text.matchAll(tokens)) {
    if (inside !== undefined) {
      const path = parseJsonPath(inside);
      if (!path) throw braceFault(`the braces at character ${index + 1} contain no path`);
      if (literal) parts.push(literal);
      literal = '';
      parts.push(path);
    } else if (token === '{' || token === '}') {
      throw braceFault(`the ${token} at character ${index + 1} has no matching brace`);
    } else literal += token === '{{' ? '{' : token === '}}' ? '}' : token;
  }
  if (literal) parts.push(literal);
  return { source: text, parts };
}

/** The remedy for braces that are not template braces. */
export const literalBraces = 'to send literal braces, write {{ and }}';

const braceFault = (fault: string): TemplateError =>
  new TemplateError(
    `expected pairs of braces around paths such as {key} or {contract.customerId}, but ${fault}; ${literalBraces}`,
  );

/** The paths in braces. */
export function templatePaths(template: Template): JsonPath[] {
  return template.parts.filter((part) => typeof part !== 'string');
}

/** Replaces each path by its encoded value. Throws TEMPLATE_VALUE_MISSING when a value is absent, null or not a scalar. */
export function renderTemplate(
  template: Template,
  resolve: Resolve,
  encode: (text: string) => string = encodeURIComponent,
): string {
  return template.parts
    .map((part) => (typeof part === 'string' ? part : encode(filledText(resolve(part), part, template))))
    .join('');
}

function filledText(value: Json | undefined, path: JsonPath, template: Template): string {
  const text = typeof value === 'boolean' ? String(value) : scalarText(value);
  if (text?.isWellFormed()) return text;
  throw new NightfillError({
    code: 'TEMPLATE_VALUE_MISSING',
    class: 'data',
    message: `"${template.source}" needs a string, number or boolean at ${formatJsonPath(path)}, but there is ${value === undefined ? 'nothing' : value === null ? 'null' : 'another kind of value'}`,
  });
}
