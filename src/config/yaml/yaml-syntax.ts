import type { YAMLError } from 'yaml';

/** Sentences of our own: the parser's may quote the file, and a file that does not parse may hold a literal secret. */
const sentences: Partial<Record<YAMLError['code'], string>> = {
  ALIAS_PROPS: 'an alias (*name) takes no anchor or tag of its own; remove it',
  BAD_ALIAS: 'an anchor or alias without a usable name; text that begins with & or * needs quotes',
  BAD_DIRECTIVE: 'a line that begins with % must be a YAML directive; remove it or quote the text',
  BAD_DQ_ESCAPE: 'an unknown escape after \\ in double quotes; write \\\\ for a backslash, or use single quotes',
  BAD_INDENT: 'the indentation does not fit the lines around it; use the same number of spaces for keys of one level',
  BAD_SCALAR_START: 'text that begins with this character needs quotes',
  BLOCK_AS_IMPLICIT_KEY: 'there are two keys on one line; put each on a line of its own, or quote text that holds ": "',
  BLOCK_IN_FLOW: 'inside { } or [ ] lists and mappings are written with commas, not on lines of their own',
  DUPLICATE_KEY: 'this key is a duplicate in its mapping; keep one of them',
  MISSING_CHAR: 'a quote, bracket, comma, colon or space is missing here or just before',
  MULTILINE_IMPLICIT_KEY:
    'expected "key: value" on one line; a colon is missing, or a quote or bracket above is not closed',
  MULTIPLE_DOCS: 'expected one document; remove the line --- and what follows, or keep it in a file of its own',
  NON_STRING_KEY: 'a key must be plain text',
  TAB_AS_INDENT: 'the indentation contains a tab; YAML requires spaces',
  TAG_RESOLVE_FAILED: 'tags (words that begin with !) have no meaning in a job file; remove it, or quote the text',
};

/** What is wrong with the YAML, without quoting it. */
export function syntaxSentence({ code }: YAMLError): string {
  const sentence = sentences[code] ?? 'this does not belong here; look for a missing quote, bracket or space before it';
  return `not valid YAML: ${sentence}`;
}
