import { readFileSync } from 'node:fs';
import { findPackageJSON, syncBuiltinESMExports } from 'node:module';
import { extname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isMainThread } from 'node:worker_threads';
import { parseExactJson, type Json } from '../../sources/json/exact-json.ts';

/**
 * The input of a transform for one contract: its `key`, the `businessDate` as YYYY-MM-DD, its record in the listing as
 * `listed`, and the answer of each lookup under the lookup's name; null for one that failed with `onFailure: null`.
 */
export type TransformParts = { key: string; businessDate: string; listed: Json } & Record<string, Json>;

/** The default export of a transform module; gives the row as column → value. Columns it leaves out are mapped by `from`. */
export type Transform = (parts: TransformParts) => Record<string, unknown> | Promise<Record<string, unknown>>;

// What a module prints goes to standard error, because programs may read the results on standard output. Redirected before
// the module is loaded, because the console takes its stream when it is first used.
if (!isMainThread) {
  Object.defineProperty(process, 'stdout', { value: process.stderr, configurable: true, enumerable: true });
  syncBuiltinESMExports();
}

// Parts and rows cross the thread boundary as JSON text, because structured cloning would lose exact numbers.
const loaded = new Map<string, Promise<Transform>>();

/** Runs in a worker thread: gives the row as JSON text. */
export async function transform({ module, parts }: { module: string; parts: string }): Promise<string> {
  let making = loaded.get(module);
  if (!making) loaded.set(module, (making = load(module)));
  const make = await making;
  const row = await make(parseExactJson(parts) as TransformParts);
  if (row === null || typeof row !== 'object' || Array.isArray(row))
    throw new TypeError(
      `expected an object of columns, got ${row === null ? 'null' : Array.isArray(row) ? 'an array' : typeof row}`,
    );
  return JSON.stringify(row);
}

/** Runs in a worker thread: loads the module, so that a broken one is found before the run begins. */
export async function probe({ module }: { module: string }): Promise<void> {
  await load(module);
}

async function load(module: string): Promise<Transform> {
  const { default: make } = await importModule(module);
  if (typeof make !== 'function') throw new TypeError('its default export is not a function');
  return make as Transform;
}

async function importModule(module: string): Promise<{ default?: unknown }> {
  try {
    return (await import(pathToFileURL(module).href)) as { default?: unknown };
  } catch (error) {
    const extension = extname(module);
    const found = extension === '.js' || extension === '.ts' ? findPackageJSON(pathToFileURL(module)) : undefined;
    if (!(error instanceof SyntaxError) || found === undefined) throw error;
    const { type } = JSON.parse(readFileSync(found, 'utf8')) as { type?: unknown };
    if (type !== 'commonjs' || !/\b(?:import|export)\b/.test(error.message)) throw error;
    const as = extension.replace('.', '.m');
    throw new SyntaxError(
      `it uses import or export, and Node.js reads it as CommonJS because ${found} says "type": "commonjs"; ` +
        `name the file ${as} instead of ${extension}, or set "type": "module" there`,
      { cause: error },
    );
  }
}
