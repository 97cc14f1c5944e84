/*
 * Column types become part of SQL statements, so only this grammar is accepted: no quotes other than around a plain
 * identifier, no comment, no semicolon, no keyword after the type (`text unique`).
 */
const word = '[a-z_][a-z0-9_]{0,62}';
const name = `(?:${word}|"[a-z0-9_ ]{1,63}")`;
const severalWords = 'double precision|(?:national )?char(?:acter)?(?: varying)?|bit(?: varying)?';
const modifier = String.raw`(?: ?\( ?\d{1,4}(?: ?, ?-?\d{1,4})? ?\))?`;
const withTimeZone = String.raw`(?:timestamp|time)(?: ?\( ?\d ?\))? with(?:out)? time zone`;
const array = String.raw`(?: ?\[\d{0,4}\]){0,6}`;
const grammar = new RegExp(`^(?:${withTimeZone}|(?:${severalWords}|(?:${name}\\.)?${name})${modifier})${array}$`, 'i');

/** Whether `text` is the name of a Postgres type such as `numeric(18,2)` or `timestamp with time zone`, and nothing else. */
export function isPostgresType(text: string): boolean {
  return grammar.test(text);
}

const summable = /^(?:smallint|integer|int|bigint|int2|int4|int8|numeric|decimal)(?: ?\([^)]*\))?$/i;

/** Whether amounts of this type add up exactly: integers and numeric do, floating point and `money` do not. */
export function isExactNumericType(text: string): boolean {
  return summable.test(text);
}
