import { z } from 'zod';
import { code, emptyPart, fillPage, partsOf, table, written } from './page.ts';

/** One row of a reference table. */
export interface Field {
  /** From the root, for example `apis.NAME.limits.rates[].per`. */
  path: string;
  /** Of several forms that a value can have, the one that has this key, for example `cursor`. */
  form: string | undefined;
  /** Empty for the row that speaks of a form as a whole. */
  kind: string;
  required: boolean;
  default: string;
  meaning: string;
}

type Schema = z.core.JSONSchema.BaseSchema;

/** Every key a schema allows, in its order. */
export function fieldsOf(schema: z.ZodType): Field[] {
  return [...keysOf(z.toJSONSchema(schema, { io: 'input', target: 'draft-7' }), '', undefined)];
}

function* keysOf(schema: Schema, above: string, form: string | undefined): Generator<Field> {
  for (const [key, value] of Object.entries((schema.properties ?? {}) as Record<string, Schema>)) {
    const path = above === '' ? key : `${above}.${key}`;
    const [meaning, told] = splitDefault(value.description ?? '');
    yield {
      path,
      form,
      kind: kindOf(value),
      required: schema.required?.includes(key) === true && value.default === undefined,
      default: value.default === undefined ? told : defaultText(value.default),
      meaning,
    };
    yield* below(value, path, form);
  }
}

/** The keys within a value, through lists, names of the user's own and forms. */
function* below(schema: Schema, path: string, form: string | undefined): Generator<Field> {
  if (schema['kind'] !== undefined) return;
  if (schema.properties) yield* keysOf(schema, path, form);
  const items = schema.items as Schema | undefined;
  if (items) yield* below(items, `${path}[]`, form);
  const values = schema.additionalProperties;
  if (typeof values === 'object') yield* below(values, `${path}.NAME`, form);
  const options = optionsOf(schema).filter(({ properties }) => properties);
  if (options.length === 1) yield* below(options[0]!, path, form);
  else for (const option of options) yield* formFields(option, path);
}

/** One form of several: a row for itself, then its keys. */
function* formFields(option: Schema, path: string): Generator<Field> {
  const properties = Object.entries(option.properties as Record<string, Schema>);
  const [name, value] = properties[0]!;
  const form = typeof value.const === 'string' ? value.const : name;
  const isType = value.const !== undefined;
  const meaning = (isType ? value.description : option.description) ?? '';
  yield { path, form, kind: '', required: false, default: '', meaning };
  const rest = isType ? Object.fromEntries(properties.slice(1)) : option.properties;
  yield* keysOf({ ...option, properties: rest! }, path, form);
}

const optionsOf = (schema: Schema): Schema[] => (schema.anyOf ?? schema.oneOf ?? []) as Schema[];

function kindOf(schema: Schema): string {
  if (typeof schema['kind'] === 'string') return schema['kind'];
  if (schema.const !== undefined) return code(written(schema.const));
  if (schema.enum) return [...new Set(schema.enum.map(written))].map(code).join(', ');
  const options = optionsOf(schema);
  if (options.length > 0) return [...new Set(options.map(kindOf))].join(' or ');
  if (Array.isArray(schema.type)) return schema.type.map((type) => kindOf({ type })).join(' or ');
  if (schema.type === 'integer') return wholeNumber(schema);
  if (schema.type === 'boolean') return '`true`, `false`';
  if (schema.type === 'string') return textKinds[schema.format ?? ''] ?? 'text';
  if (schema.type === 'array') return listOf(kindOf(schema.items as Schema));
  if (schema.type === 'object') return schema.properties ? 'mapping' : `mapping of ${schemaOfValues(schema)}`;
  return schema.type ?? 'any value';
}

/** By the format that JSON Schema gives a text. */
const textKinds: Record<string, string> = { 'date-time': 'time', date: 'date', uuid: 'UUID' };

const schemaOfValues = (schema: Schema): string => {
  const values = schema.additionalProperties;
  return typeof values === 'object' ? plural(kindOf(values)) : 'anything';
};

const listOf = (kind: string): string => `list of ${plural(kind)}`;
const plural = (kind: string): string =>
  ['mapping', 'whole number', 'path'].includes(kind) ? `${kind}s` : kind === 'text' ? 'texts' : kind;

function wholeNumber({ minimum, maximum }: Schema): string {
  const bounded = typeof maximum === 'number' && maximum < Number.MAX_SAFE_INTEGER;
  return bounded ? `whole number ${String(minimum)}–${maximum.toLocaleString('en')}` : 'whole number';
}

/** A description may end by saying what holds where a key is left out and no fixed value does. */
function splitDefault(description: string): [meaning: string, told: string] {
  const [, meaning, told] = /^(.*?\.) Default: (.+)\.$/.exec(description) ?? [];
  return meaning === undefined ? [description, ''] : [meaning, told!];
}

function defaultText(value: unknown): string {
  if (typeof value !== 'object') return code(written(value));
  const { type } = value as { type?: string };
  return type === undefined ? '' : code(type);
}

/**
 * A page whose parts are named by the paths they show, several with blanks between them. A part shows what is below its
 * paths, less what another part shows. Throws when a field is shown nowhere.
 */
export function fillFieldsPage(
  file: string,
  page: string,
  { schema, table: show }: { schema: z.ZodType; table: (fields: readonly Field[], above: string) => string },
): string {
  const fields = fieldsOf(schema);
  const paths = [...partsOf(page).keys()].flatMap((name) => name.split(' '));
  const homeOf = ({ path }: Field): string | undefined =>
    paths.filter((at) => isBelow(path, at)).toSorted((a, b) => b.length - a.length)[0];
  const homeless = fields.filter((field) => homeOf(field) === undefined);
  if (homeless.length > 0)
    throw new Error(`${file} does not show ${homeless[0]!.path}; add the lines\n${emptyPart(homeless[0]!.path)}`);
  const empty = paths.filter((at) => !fields.some((field) => homeOf(field) === at));
  if (empty.length > 0) throw new Error(`${file} has a part for ${empty.join(', ')}, which does not exist; remove it`);
  return fillPage(page, (name) => {
    const own = name.split(' ');
    const shown = fields.filter((field) => own.includes(homeOf(field)!));
    return show(shown, own.length > 1 ? '' : above(own[0]!));
  });
}

const isBelow = (path: string, at: string): boolean =>
  path === at || path.startsWith(`${at}.`) || path.startsWith(`${at}[]`);

/** `apis.NAME.limits` is shown as `limits`, because the heading above it says where it stands. */
const above = (path: string): string => path.slice(0, path.lastIndexOf('.') + 1);

/** For what people write: which keys they must give, and what holds where they do not. */
export function keysTable(fields: readonly Field[], above: string): string {
  return table(
    ['with', 'key', 'kind', 'default', 'meaning'],
    fields.map((field) => [
      field.form === undefined ? '' : code(field.form),
      field.kind === '' ? '' : code(field.path.slice(above.length)),
      field.kind,
      field.required ? '**required**' : field.default,
      field.meaning,
    ]),
  );
}

/** For what the program writes. */
export function valuesTable(fields: readonly Field[], above: string): string {
  return table(
    ['field', 'kind', 'meaning'],
    fields.map(({ path, kind, required, meaning }) => [
      code(path.slice(above.length)),
      required ? kind : `${kind}, optional`,
      meaning,
    ]),
  );
}
