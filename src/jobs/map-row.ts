import { NightfillError } from '../resilience/failure.ts';
import { columnText } from '../sinks/column-value.ts';
import type { Row } from '../sinks/copy-upsert.ts';
import type { Json } from '../sources/exact-json.ts';
import { formatJsonPath, getPath } from '../sources/json-path.ts';
import type { LookupAnswer } from './enrich.ts';
import type { Column } from './job.ts';
import type { PlannedContract } from './plan.ts';
import type { EnrichContext } from './run-context.ts';

export interface MappedRow {
  row: Row;
  /** The texts found, by column, also when another column has a problem. */
  texts: Map<string, string | null>;
  problem?: NightfillError;
}

/** Makes a contract's row from its answers, and from what a transform made before them: the text form of each column, or the first problem. */
export function mapRow(
  contract: PlannedContract,
  answers: Map<string, LookupAnswer>,
  context: EnrichContext,
  made: Record<string, Json> = {},
): MappedRow {
  const texts = new Map<string, string | null>();
  let problem: NightfillError | undefined;
  const { timezone } = context.job;
  const row = context.job.load.columns.map((column, index) => {
    const value = Object.hasOwn(made, column.name) ? made[column.name] : valueOf(column, contract, answers);
    const found =
      value === undefined ? absent(column) : columnText(value, context.target.columns[index]!, { timezone });
    if ('problem' in found) {
      problem ??= new NightfillError({ class: 'data', ...found.problem });
      return null;
    }
    texts.set(column.name, found.text);
    return found.text;
  });
  return { row, texts, ...(problem && { problem }) };
}

function valueOf(
  { from, default: fallback }: Column,
  contract: PlannedContract,
  answers: Map<string, LookupAnswer>,
): Json | undefined {
  const [root, ...rest] = from ?? [];
  const answer = answers.get(String(root));
  if (answer?.from === 'null') return null;
  const found = getPath(root === 'listed' ? contract.listed : answer?.value, rest);
  // A default stands for what an answer leaves out, not for an answer that never came.
  const answered = from === undefined || root === 'listed' || answer !== undefined;
  return found === undefined && answered ? fallback : found;
}

function absent({ name, from }: Column): { problem: { code: string; message: string } } {
  const path = from ? formatJsonPath(from) : name;
  return {
    problem: {
      code: 'VALUE_ABSENT',
      message: `column ${name} takes ${path}, and the answer has nothing there; give the column a default if that is usual`,
    },
  };
}
