import type { ResponseRule } from './api-options.ts';

interface ApiKind {
  /** For the reference of the job file. */
  description: string;
  /** What its answers mean where their status does not tell it; a job file's own `responses` are checked first. */
  responses: readonly ResponseRule[];
}

/** The kinds of API that a job file can name as `type`. A kind is data: no code asks for its name. */
export const apiKinds = {
  rest: { description: 'any API that answers in JSON over HTTP', responses: [] },
} satisfies Record<string, ApiKind>;

type ApiKindName = keyof typeof apiKinds;

export const apiKindNames = Object.keys(apiKinds) as ApiKindName[];
