import { NightfillError } from '../../resilience/failure.ts';
import { columnText } from '../../sinks/target/column-value.ts';
import type { Row } from '../../sinks/target/copy-upsert.ts';
import { scalarText, type Json } from '../../sources/json/exact-json.ts';
import { formatJsonPath, getPath } from '../../sources/json/json-path.ts';
import { summedColumns } from '../load/amounts.ts';
import type { PlannedContract } from '../../ledger/planned-contract.ts';
import type { TargetTable } from '../../sinks/target/target-table.ts';
import type { Column, Job } from '../job.ts';
import type { Answers } from './answer.ts';

interface MapContext {
  job: Job;
  target: Pick<TargetTable, 'columns'>;
}

export interface MappedRow {
  row: Row;
  /** The texts found, by column, including those that their column cannot hold. */
  texts: Map<string, string | null>;
  problem?: NightfillError;
}

/** Makes a contract's row: the text of each column, from the transform's columns or else from the answers, or the first problem. */
export function mapRow(
  contract: PlannedContract,
  answers: Answers,
  context: MapContext,
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
      const text = scalarText(value);
      if (text !== undefined) texts.set(column.name, text);
      return null;
    }
    texts.set(column.name, found.text);
    if (found.text !== null && isNoAmount(found.text) && isSummed(column.name, context))
      problem ??= new NightfillError({ class: 'data', ...noAmount(column.name, found.text) });
    return found.text;
  });
  return { row, texts, ...(problem && { problem }) };
}

/** Whether it is one of the values besides numbers that `numeric` accepts; one would make a currency's whole sum useless. */
const isNoAmount = (text: string): boolean => /^\s*[-+]?(?:nan|inf)/i.test(text);

const isSummed = (name: string, { job }: MapContext): boolean =>
  summedColumns(job).some(({ column }) => column === name);

const noAmount = (name: string, text: string): { code: string; message: string } => ({
  code: 'AMOUNT_NOT_FINITE',
  message: `a control sums column ${name}: expected a finite number, got "${text.trim()}"; correct the record, or load it into a column that is not summed`,
});

function valueOf({ from, default: fallback }: Column, contract: PlannedContract, answers: Answers): Json | undefined {
  const [root, ...rest] = from ?? [];
  const answer = answers.get(String(root));
  if (answer?.from === 'null') return null;
  const found = getPath(root === 'listed' ? contract.listed : answer?.value, rest);
  // A default replaces a value that an answer leaves out, not an answer that never came.
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
