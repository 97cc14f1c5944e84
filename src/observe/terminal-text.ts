const control = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;
/** All below U+10000, so that one escape encodes each. Line breaks between values are JSON's own. */
const unescaped = /[\u007F-\u009F\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/** The text without control characters and marks of direction: text of an API must not move the cursor or reverse the line. */
export function harmless(text: string): string {
  return text.toWellFormed().replace(control, '\uFFFD');
}

/**
 * JSON with the same meaning and without control characters: JSON itself escapes line breaks and the like in strings, but
 * not DEL, the second set of control characters (U+009B is the same as ESC [), and marks of direction.
 */
export function harmlessJson(json: string): string {
  return json.replace(unescaped, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** The line breaks in messages with these codes, which are lists. In any other message a line break is part of data. */
const lineBreaks: Record<string, RegExp> = { JOB_FILE: /\n/, TARGET_TABLE: /\n(?=- )/ };

/** The lines of a message, each harmless; one line unless its code is that of a list. */
export function harmlessLines(message: string, code: string | null | undefined): string[] {
  const lineBreak = lineBreaks[code ?? ''];
  return (lineBreak ? message.split(lineBreak) : [message]).map(harmless);
}
