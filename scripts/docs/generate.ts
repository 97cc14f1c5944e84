import { readFile, writeFile } from 'node:fs/promises';
import { jobFileSchema } from '../../src/config/schema/job-schema.ts';
import { reportSchema } from '../../src/report/schema.ts';
import { commandLinePage } from './command-line.ts';
import { howItWorksPage, wayDrawing } from './drawing.ts';
import { fillFieldsPage, keysTable, valuesTable } from './fields.ts';
import { jsonSchemas, jsonSchemaText } from './json-schemas.ts';
import { isLedgerPageCurrent, ledgerPage } from './ledger.ts';
import { withMigratedDatabase } from './migrated-database.ts';

interface GeneratedFile {
  /** What the file should hold; `present` is what it holds now. */
  generate: (present: string) => string | Promise<string>;
  /** Where telling whether it is current is cheaper than generating it. */
  isCurrent?: (present: string) => Promise<boolean>;
}

/** Everything that `npm run docs` writes, by its place in the checkout. */
export const generatedFiles: Record<string, GeneratedFile> = {
  'schema/job.schema.json': { generate: () => jsonSchemaText(jsonSchemas.job) },
  'schema/report.schema.json': { generate: () => jsonSchemaText(jsonSchemas.report) },
  'docs/reference/job-file.md': {
    generate: (page) => fillFieldsPage('docs/reference/job-file.md', page, { schema: jobFileSchema, table: keysTable }),
  },
  'docs/reference/report.md': {
    generate: (page) => fillFieldsPage('docs/reference/report.md', page, { schema: reportSchema, table: valuesTable }),
  },
  'docs/reference/command-line.md': { generate: commandLinePage },
  'docs/guide/how-it-works.md': { generate: howItWorksPage },
  'docs/guide/way-of-a-key.svg': { generate: wayDrawing },
  'docs/reference/ledger.md': {
    generate: async (page) => withMigratedDatabase(async (database) => ledgerPage(page, database)),
    isCurrent: isLedgerPageCurrent,
  },
};

/** Writes into the checkout `root` what is not current; with `check` only compares. Gives the names of those files. */
export async function generate(root: URL, { check }: { check: boolean }): Promise<string[]> {
  const stale: string[] = [];
  for (const [name, { generate: textOf, isCurrent }] of Object.entries(generatedFiles)) {
    const file = new URL(name, root);
    const present = await readFile(file, 'utf8').catch(() => '');
    if (await isCurrent?.(present)) continue;
    const text = check && isCurrent ? '' : await textOf(present);
    if (text === present) continue;
    stale.push(name);
    if (!check) await writeFile(file, text);
  }
  return stale;
}
