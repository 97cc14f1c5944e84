const control = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;
/** All of them below U+10000, so that one escape says each. Line breaks between values are JSON's own. */
const unescaped = /[\u007F-\u009F\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/** The text without anything a terminal would obey: what an API wrote must not move the cursor or turn the line around. */
export function harmless(text: string): string {
  return text.toWellFormed().replace(control, '\uFFFD');
}

/**
 * JSON with the same meaning that a terminal shows as it is: JSON itself escapes line breaks and the like in strings, and
 * leaves DEL, the second set of control characters (U+009B begins what ESC [ does), and marks of direction as they are.
 */
export function harmlessJson(json: string): string {
  return json.replace(unescaped, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Where a message with this code goes on in a new line: those are lists. In any other a line break came with data. */
const lineBreaks: Record<string, RegExp> = { JOB_FILE: /\n/, TARGET_TABLE: /\n(?=- )/ };

/** The lines of a message, harmless each; one line, unless its code is that of a list. */
export function harmlessLines(message: string, code: string | null | undefined): string[] {
  const lineBreak = lineBreaks[code ?? ''];
  return (lineBreak ? message.split(lineBreak) : [message]).map(harmless);
}
