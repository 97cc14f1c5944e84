import { testBadFiles } from '../support/bad-job-file.ts';
import { smallJob } from '../support/job-file.ts';

testBadFiles({
  'a missing part': {
    instead: 'load:\n  table: contracts\n',
    write: '▸load:\n',
    path: 'load.table',
    says: /expected a table as name or schema\.name.*it is missing/,
  },
  'a table in upper case': {
    instead: 'table: contracts',
    write: 'table: ▸public.Contracts',
    path: 'load.table',
    says: /in lower case.*got "public\.Contracts"/,
  },
  'a table with SQL after it': {
    instead: 'table: contracts',
    write: 'table: ▸contracts; drop table x',
    path: 'load.table',
    says: /name or schema\.name/,
  },
  'a table in a schema that is not for it': {
    instead: 'table: contracts',
    write: 'table: ▸nightfill.runs',
    path: 'load.table',
    says: /the schema nightfill is not for target tables/,
  },
  'a name longer than Postgres keeps': {
    instead: 'table: contracts',
    write: `table: ▸${'t'.repeat(64)}`,
    path: 'load.table',
    says: /at most 63/,
  },
  'a key column that is not there': {
    instead: 'key: [id]',
    write: 'key: [▸idd]',
    path: 'load.key[0]',
    says: /a column under load\.columns \(id, amount, currency\), got "idd" \(did you mean "id"\?\)/,
  },
  'a key column twice': {
    instead: 'key: [id]',
    write: 'key: [id, ▸id]',
    path: 'load.key[1]',
    says: /"id" is in the key already/,
  },
  'no key column': {
    instead: 'key: [id]',
    write: 'key: ▸[]',
    path: 'load.key',
    says: /a list of at least one column, got a list/,
  },
  'a column in upper case': {
    instead: '    amount:',
    write: '    ▸Amount:',
    path: 'load.columns.Amount',
    says: /in lower case.*got "Amount"/,
  },
  'a column with a name Postgres keeps for itself': {
    instead: '    amount:',
    write: '    ▸ctid:',
    path: 'load.columns.ctid',
    says: /a column of that name in every table/,
  },
  'a column from nowhere': {
    instead: 'from: listed.amount',
    write: 'from: ▸contract.amount',
    path: 'load.columns.amount.from',
    says: /a path that begins with \(listed\), got "contract"/,
  },
  'a column without from': {
    instead: 'amount: { from: listed.amount, ',
    write: '▸amount: { ',
    path: 'load.columns.amount.from',
    says: /expected from: a path such as listed\.amount, but it is missing/,
  },
  'a type with SQL after it': {
    instead: 'listed.id, type: text',
    write: 'listed.id, type: ▸"text; drop table x"',
    path: 'load.columns.id.type',
    says: /a Postgres type such as.*nothing after it, got "text; drop table x"/,
  },
  'a default that JSON does not have': {
    instead: 'type: char(3)',
    write: 'type: char(3), default: ▸.nan',
    path: 'load.columns.currency.default',
    says: /a number with digits, got \.inf or \.nan/,
  },
  'a sum of a column that is not there': {
    write: 'controls: [{ sum: ▸amounts }]\n',
    path: 'controls[0].sum',
    says: /got "amounts" \(did you mean "amount"\?\)/,
  },
  'a sum of text': {
    write: 'controls: [{ sum: ▸currency }]\n',
    path: 'controls[0].sum',
    says: /integer type or numeric, which add up exactly, and currency is char\(3\)/,
  },
  'a sum by a column that is not there': {
    write: 'controls: [{ sum: amount, by: ▸curency }]\n',
    path: 'controls[0].by',
    says: /did you mean "currency"\?/,
  },
  'a control that is none': {
    write: 'controls: [▸{ completness: 100% }]\n',
    path: 'controls[0]',
    says: /expected \{ sum: column, by: column \}, \{ completeness: 100% \} or \{ listed: \{ change: 50% \} \}, got a mapping with completness/,
  },
  'a sum split in two ways': {
    write: 'controls: [{ sum: amount, by: currency }, ▸{ sum: amount, change: 25% }]\n',
    path: 'controls[1]',
    says: /expected amount to be split as in the control above \(by: currency\)/,
  },
  'a change of nothing': {
    write: 'controls: [{ listed: { change: ▸0% } }]\n',
    path: 'controls[0].listed.change',
    says: /a percentage above 0% and up to 100%, such as 50%/,
  },
  'a tolerance below nothing': {
    write: 'controls: [{ sum: amount, by: currency, tolerance: ▸-1 }]\n',
    path: 'controls[0].tolerance',
    says: /an amount such as 0.01, not negative, or a percentage such as 0.1%/,
  },
  'a stray key in a control': {
    write: 'controls: [{ sum: amount, ▸buy: currency }]\n',
    path: 'controls[0].buy',
    says: /unknown key "buy" \(did you mean "by"\?\); known here: sum, by/,
  },
  'more than all': {
    write: 'controls: [{ completeness: ▸101% }]\n',
    path: 'controls[0].completeness',
    says: /a percentage from 0% to 100%.*got "101%"/,
  },
  "marking what is missing without the source's own count": {
    instead: '  key: [id]\n',
    write: '  key: [id]\n  missing: ▸mark\n',
    path: 'load.missing',
    says: /mark needs contracts\.total.*add it, or use keep/,
  },
  'a loaded column where the mark goes': {
    instead: /  key: id\nload:[^]*/.exec(smallJob)![0],
    write:
      '  key: id\n  total: total\nload:\n  table: contracts\n  missing: mark\n  key: [id]\n  columns:\n    id: { from: listed.id, type: text }\n    ▸missing_since: { from: listed.gone, type: date }\n',
    path: 'load.columns.missing_since',
    says: /needs the column name missing_since for its mark; rename this column/,
  },
  'a bound for marks that nobody sets': {
    instead: '  key: [id]\n',
    write: '  key: [id]\n  ▸markAtMost: 10%\n',
    path: 'load.markAtMost',
    says: /markAtMost applies only with missing: mark/,
  },
  'a transform without threads': {
    write: 'transform: { module: ./rows.ts, threads: ▸0 }\n',
    path: 'transform.threads',
    says: /expected .*1/,
  },
});
