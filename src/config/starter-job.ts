import { readFile } from 'node:fs/promises';

const shipped = new URL('../../jobs/contract-enrichment.yaml', import.meta.url);

/** The commented job file to start from. `schema` is where its reader's editor finds the JSON Schema: a path or an address. */
export async function starterJob(schema: string): Promise<string> {
  const text = await readFile(shipped, 'utf8');
  return text.replace(/^# yaml-language-server: .*$/m, () => `# yaml-language-server: $schema=${schema}`);
}
