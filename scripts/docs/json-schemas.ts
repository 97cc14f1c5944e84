import { z } from 'zod';
import { jobFileSchema } from '../../src/config/schema/job-schema.ts';
import { reportSchema } from '../../src/report/schema.ts';
import { written } from './page.ts';

interface Source {
  title: string;
  schema: z.ZodType;
  /** Whether `${NAME}` may stand in it. */
  holdsVariables: boolean;
}

/** The JSON Schemas that ship with the package, in schema/. */
export const jsonSchemas = {
  job: { title: 'Nightfill job file', schema: jobFileSchema, holdsVariables: true },
  report: { title: 'Nightfill run report', schema: reportSchema, holdsVariables: false },
} satisfies Record<string, Source>;

const variable = String.raw`\$\{`;

/** The JSON Schema of a zod schema, as text. Draft 7 is what YAML editors know best. */
export function jsonSchemaText({ title, schema, holdsVariables }: Source): string {
  const generated = z.toJSONSchema(schema, {
    io: 'input',
    target: 'draft-7',
    override: ({ jsonSchema, path }) => {
      // What the reference pages call this kind of value; no keyword of JSON Schema.
      delete jsonSchema['kind'];
      tellDefault(jsonSchema);
      if (holdsVariables && path.at(-1) !== 'propertyNames') allowVariables(jsonSchema);
    },
  });
  const { $schema, ...rest } = generated;
  return `${JSON.stringify({ $schema, title, ...rest }, undefined, 2)}\n`;
}

/** Editors show the description, and not all of them the default. */
function tellDefault(part: z.core.JSONSchema.BaseSchema): void {
  const { description, default: value } = part;
  if (description === undefined || value === undefined || typeof value === 'object') return;
  const sentence = ` Default ${written(value)}.`;
  if (!description.endsWith(sentence)) part.description = description + sentence;
}

/** An editor sees `${NAME}` where the loader sees its value, so it fits wherever text, a number or a boolean is asked for. */
function allowVariables(part: z.core.JSONSchema.BaseSchema): void {
  if (part.type === 'integer') {
    Object.assign(part, { type: ['integer', 'string'], pattern: `^${variable}` });
  } else if (part.type === 'boolean') {
    Object.assign(part, { type: ['boolean', 'string'], pattern: `^${variable}` });
  } else if (part.type === 'string' && part.pattern?.endsWith(variable) === false) {
    part.pattern = `(?:${part.pattern})|${variable}`;
  }
}
