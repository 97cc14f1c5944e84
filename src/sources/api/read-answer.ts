import { isUtf8 } from 'node:buffer';
import { StringDecoder } from 'node:string_decoder';
import { setImmediate } from 'node:timers/promises';
import { NightfillError } from '../../resilience/failure.ts';
import type { ResponseRule } from './api-options.ts';
import { answerFailure, faultFailure, type RequestFacts } from './describe-failure.ts';
import { BodyError, decodeBody } from '../http/decode-body.ts';
import { type Json, parseExactJson } from '../json/exact-json.ts';
import type { AnswerHeaders, WireAnswer } from '../http/exchange.ts';
import { excerpt } from '../http/excerpt.ts';
import { isLong, parseInSteps } from '../json/json-in-steps.ts';
import { meaningOf, type Meaning } from './responses.ts';

/** The answer's JSON; throws a RequestError for any other answer. Calls `onMeaning` in both cases. */
export async function readAnswer(
  wire: WireAnswer,
  {
    facts,
    rules,
    maxBytes,
    anyDepth,
    onMeaning,
  }: {
    facts: RequestFacts;
    rules: readonly ResponseRule[];
    maxBytes: number;
    anyDepth: boolean;
    onMeaning: (meaning: Meaning) => void;
  },
): Promise<Json> {
  const bytes = withoutByteOrderMark(
    wire.headers['content-encoding'] === undefined ? wire.body : await bodyOf(wire, maxBytes),
  );
  const text = bytes.length <= step ? bytes.toString() : await decodeInSteps(bytes);
  const meaning = meaningOf({ status: wire.status, headers: wire.headers, text, rules });
  onMeaning(meaning);
  if (meaning.action !== 'ok') throw answerFailure(facts, { meaning, wire, text });
  if (!isUtf8(bytes)) throw new BodyError('malformed', 'it is not UTF-8');
  return parseAnswer({ text, headers: wire.headers, status: wire.status, anyDepth }, facts);
}

/** Ignores an error page that cannot be decompressed, because its status is enough. */
async function bodyOf(wire: WireAnswer, maxBytes: number): Promise<Buffer> {
  try {
    return await decodeBody(wire, maxBytes);
  } catch (error) {
    if (error instanceof BodyError && wire.status >= 400) return Buffer.alloc(0);
    throw error;
  }
}

/** Bytes that are decoded within a few milliseconds. */
const step = 1024 * 1024;

/** Decodes the text in steps, between which other work can run. */
async function decodeInSteps(bytes: Buffer): Promise<string> {
  // A StringDecoder, because a step may end within a character.
  const decoder = new StringDecoder('utf8');
  let text = '';
  for (let index = 0; index < bytes.length; index += step) {
    text += decoder.write(bytes.subarray(index, index + step));
    // oxlint-disable-next-line no-await-in-loop -- lets other work run between two steps
    await setImmediate();
  }
  return text + decoder.end();
}

/** Some servers send a byte order mark, which is not JSON. */
function withoutByteOrderMark(bytes: Buffer): Buffer {
  const marked = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  return marked ? bytes.subarray(3) : bytes;
}

async function parseAnswer(
  { text, headers, status, anyDepth }: { text: string; headers: AnswerHeaders; status: number; anyDepth: boolean },
  facts: RequestFacts,
): Promise<Json> {
  const fault = (
    code: 'RESPONSE_EMPTY' | 'RESPONSE_NOT_JSON' | 'RESPONSE_MALFORMED' | 'RESPONSE_TOO_DEEP',
    detail: string,
    cause?: unknown,
  ) => faultFailure(facts, { code, detail, cause, httpStatus: status });
  const type = String(headers['content-type'] ?? '');
  const shown = (): string => `"${excerpt(facts.redact(text))}"`;
  if (text.trim() === '')
    throw fault('RESPONSE_EMPTY', `answered ${status} with an empty body where JSON was expected`);
  if (/^\s*</.test(text))
    throw fault('RESPONSE_NOT_JSON', `answered ${status} with HTML or XML, ${shown()}, where JSON was expected`);
  if (!couldBeJson(type))
    throw fault(
      'RESPONSE_NOT_JSON',
      `answered ${status} with ${excerpt(mediaType(type))}, ${shown()}, where JSON was expected`,
    );
  try {
    if (!isLong(text)) return parseExactJson(text, { anyDepth });
    return await parseInSteps(text, { anyDepth });
  } catch (error) {
    if (error instanceof NightfillError) throw fault('RESPONSE_TOO_DEEP', error.message, error);
    throw fault('RESPONSE_MALFORMED', `answered ${status} with text that is not valid JSON, ${shown()}`, error);
  }
}

/** Accepts plain text, bytes and a missing type besides JSON types, because many servers send JSON that way. */
function couldBeJson(contentType: string): boolean {
  if (contentType === 'application/json') return true;
  const type = mediaType(contentType);
  return type === '' || type === 'text/plain' || type === 'application/octet-stream' || /[/+]json$/.test(type);
}

const mediaType = (contentType: string): string => contentType.split(';', 1)[0]!.trim().toLowerCase();
