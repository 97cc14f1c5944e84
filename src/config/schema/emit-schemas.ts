import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { z } from 'zod';
import { reportSchema } from '../../report/schema.ts';
import { jobFileSchema } from './job-schema.ts';

/** The JSON Schemas that ship with the package. Another one is one line here. */
const schemas: { file: string; title: string; schema: z.ZodType; holdsVariables: boolean }[] = [
  { file: 'job.schema.json', title: 'Nightfill job file', schema: jobFileSchema, holdsVariables: true },
  { file: 'report.schema.json', title: 'Nightfill run report', schema: reportSchema, holdsVariables: false },
];

const variable = String.raw`\$\{`;

/** The JSON Schema of a zod schema, as text. Draft 7 is what YAML editors know best. */
function jsonSchemaText({ title, schema, holdsVariables }: Omit<(typeof schemas)[number], 'file'>): string {
  const generated = z.toJSONSchema(schema, {
    io: 'input',
    target: 'draft-7',
    override: ({ jsonSchema, path }) => {
      if (holdsVariables && path.at(-1) !== 'propertyNames') allowVariables(jsonSchema);
    },
  });
  const { $schema, ...rest } = generated;
  return `${JSON.stringify({ $schema, title, ...rest }, undefined, 2)}\n`;
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

/** Writes the schemas into `folder`; with `check` only compares. Gives the names of those that were not current. */
export async function emitSchemas(folder: string, { check }: { check: boolean }): Promise<string[]> {
  if (!check) await mkdir(folder, { recursive: true });
  const stale = await Promise.all(
    schemas.map(async ({ file, ...schema }) => {
      const text = jsonSchemaText(schema);
      const present = await readFile(`${folder}/${file}`, 'utf8').catch(() => '');
      if (present === text) return [];
      if (!check) await writeFile(`${folder}/${file}`, text);
      return [file];
    }),
  );
  return stale.flat();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const check = process.argv.includes('--check');
  const stale = await emitSchemas(fileURLToPath(new URL('../../../schema', import.meta.url)), { check });
  for (const file of stale)
    process.stderr.write(`schema/${file} ${check ? 'is not current; run: npm run schemas' : 'written'}\n`);
  if (check && stale.length > 0) process.exitCode = 1;
}
