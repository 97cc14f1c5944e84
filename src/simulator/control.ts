import { z } from 'zod';
import { UsageError } from '../resilience/failure.ts';
import type { Behaviour } from './behaviour.ts';
import { checkFaults } from './faults.ts';

const milliseconds = z.number().min(0);

const schema = z.strictObject({
  faults: z.record(z.string(), z.unknown()).optional(),
  rate: z.strictObject({ requests: z.int().min(1), per: z.number().positive() }).nullish(),
  latency: z
    .union([
      milliseconds,
      z.strictObject({ min: milliseconds, max: milliseconds }).refine(({ min, max }) => min <= max),
    ])
    .optional(),
  slowBy: milliseconds.optional(),
  reset: z.boolean().optional(),
});

/** Reads what `POST /_control` was sent; `rate: null` lifts the limit. Throws UsageError. */
export function readControl(text: string): Partial<Behaviour> & { reset?: boolean } {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (cause) {
    throw new UsageError('The body must be JSON such as {"faults":{"flaky":0.1}}.', { cause });
  }
  const parsed = schema.safeParse(body);
  if (!parsed.success) throw new UsageError(z.prettifyError(parsed.error));
  const { faults, rate, latency, slowBy, reset } = parsed.data;
  return {
    ...(faults && { faults: checkFaults(faults) }),
    ...(rate !== undefined && { rate: rate ?? undefined }),
    ...(latency !== undefined && { latency }),
    ...(slowBy !== undefined && { slowBy }),
    ...(reset !== undefined && { reset }),
  };
}
