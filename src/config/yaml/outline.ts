import { z } from 'zod';

const name = z.string().optional().catch(undefined);
const names = z.array(z.string()).catch([]);
const query = z.record(z.string(), z.string()).catch({});

/**
 * The parts of a job file that the checks across them need. It accepts anything, so that their problems are reported
 * together with those that the schema finds.
 */
const outlineSchema = z.object({
  database: z.unknown().optional(),
  apis: z
    .record(
      z.string(),
      z
        .object({
          baseUrl: name,
          auth: z.record(z.string(), z.unknown()).catch({}),
          limits: z.object({ concurrency: z.number().optional().catch(undefined) }).catch({}),
          connections: z.number().optional().catch(undefined),
          tls: z.record(z.string(), z.unknown()).optional().catch(undefined),
        })
        .catch({ auth: {}, limits: {} }),
    )
    .catch({}),
  contracts: z.object({ api: name, path: name, query, total: z.unknown().optional() }).catch({ query: {} }),
  lookups: z
    .record(z.string(), z.object({ api: name, path: name, query, onFailure: name, maxAge: name }).catch({ query: {} }))
    .catch({}),
  load: z
    .object({
      key: names,
      columns: z.record(z.string(), z.object({ from: name, type: name, listed: name }).catch({})).catch({}),
      missing: name,
      markAtMost: name,
    })
    .catch({ key: [], columns: {} }),
  controls: z.array(z.object({ sum: name, by: name }).catch({})).catch([]),
  transform: z.unknown().optional(),
});

export type Outline = z.output<typeof outlineSchema>;

/** Never fails on a mapping: a failure would skip the checks. */
export function outline(value: unknown): Outline {
  const isMapping = typeof value === 'object' && value !== null && !Array.isArray(value);
  return outlineSchema.parse(isMapping ? value : {});
}
