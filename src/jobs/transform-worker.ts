import { pathToFileURL } from 'node:url';
import { parseExactJson, type Json } from '../sources/exact-json.ts';

/** What a transform module exports by default: the row, as column → value, made from a contract's parts. */
export type Transform = (parts: Record<string, Json>) => Record<string, unknown> | Promise<Record<string, unknown>>;

// Exact numbers do not survive structured cloning, so parts and rows cross as JSON text.
const loaded = new Map<string, Promise<Transform>>();

/** Runs in a worker thread: gives the row as JSON text. */
export async function transform({ module, parts }: { module: string; parts: string }): Promise<string> {
  let making = loaded.get(module);
  if (!making) loaded.set(module, (making = load(module)));
  const make = await making;
  const row = await make(parseExactJson(parts) as Record<string, Json>);
  if (row === null || typeof row !== 'object' || Array.isArray(row))
    throw new TypeError(
      `it gave ${row === null ? 'null' : Array.isArray(row) ? 'an array' : typeof row} instead of an object of columns`,
    );
  return JSON.stringify(row);
}

/** Runs in a worker thread: loads the module, so that a bad one is known before the night begins. */
export async function probe({ module }: { module: string }): Promise<void> {
  await load(module);
}

async function load(module: string): Promise<Transform> {
  const { default: make } = (await import(pathToFileURL(module).href)) as { default?: unknown };
  if (typeof make !== 'function') throw new TypeError('it has no function as its default export');
  return make as Transform;
}
