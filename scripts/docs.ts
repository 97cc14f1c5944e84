/*
 * Writes what is generated: the JSON Schemas and the parts of docs/ that come from the code.
 * With --check it only compares, and fails when something is not current.
 * Run: npm run docs [-- --check]
 */
import { generate } from './docs/generate.ts';

const check = process.argv.includes('--check');
const stale = await generate(new URL('../', import.meta.url), { check });
for (const name of stale)
  process.stderr.write(check ? `${name} is not current; run: npm run docs\n` : `${name} written\n`);
if (check && stale.length > 0) process.exitCode = 1;
