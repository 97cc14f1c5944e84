/** The text as Postgres can store it: it takes neither NUL nor halves of a surrogate pair. */
export const storableText = (text: string): string => text.replaceAll('\0', '\\0').toWellFormed();
