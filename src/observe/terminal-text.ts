/** A piece of a line and how it looks. */
export type Piece = string | { text: string; style: Style };

const styles = {
  bold: '\u001b[1m',
  dim: '\u001b[2m',
  red: '\u001b[31m',
  green: '\u001b[32m',
  yellow: '\u001b[33m',
  cyan: '\u001b[36m',
} as const;
export type Style = keyof typeof styles;
const plain = '\u001b[0m';

const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });
const control = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;
/** All of them below U+10000, so that one escape says each. Line breaks between values are JSON's own. */
const unescaped = /[\u007F-\u009F\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;
const wide =
  /\p{Emoji_Presentation}|\uFE0F|[\u1100-\u115F\u2E80-\u303E\u3041-\uA4CF\uA960-\uA97C\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6]|[\u{20000}-\u{3FFFD}]/u;
const invisible = /^[\p{Mn}\p{Me}\p{Cf}]+$/u;

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

/** Columns a harmless text takes. */
export function textWidth(text: string): number {
  let width = 0;
  for (const { segment } of graphemes.segment(text)) width += graphemeWidth(segment);
  return width;
}

function graphemeWidth(grapheme: string): number {
  if (invisible.test(grapheme)) return 0;
  return wide.test(grapheme) ? 2 : 1;
}

/** The longest beginning of a harmless text that takes at most `width` columns, with `…` where something was cut. */
export function truncated(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  let kept = '';
  let used = 1; // the ellipsis
  for (const { segment } of graphemes.segment(text)) {
    used += graphemeWidth(segment);
    if (used > width) break;
    kept += segment;
  }
  return width < 1 ? '' : `${kept}…`;
}

/** The pieces as one line of at most `width` columns. */
export function fitLine(pieces: readonly Piece[], { width, colour }: { width: number; colour: boolean }): string {
  let room = width;
  let line = '';
  for (const piece of pieces) {
    const text = truncated(harmless(typeof piece === 'string' ? piece : piece.text), room);
    const whole = textWidth(text);
    room = text.endsWith('…') ? 0 : room - whole;
    if (text === '') continue;
    line += colour && typeof piece !== 'string' ? `${styles[piece.style]}${text}${plain}` : text;
  }
  return line;
}

export function piecesWidth(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, piece) => sum + textWidth(harmless(typeof piece === 'string' ? piece : piece.text)), 0);
}
