import { isUtf8 } from 'node:buffer';
import { StringDecoder } from 'node:string_decoder';
import { setImmediate } from 'node:timers/promises';
import { NightfillError } from '../../resilience/failure.ts';
import type { ResponseRule } from '../api/api-options.ts';
import { answerFailure, faultFailure, type RequestFacts } from '../api/describe-failure.ts';
import { BodyError, decodeBody } from './decode-body.ts';
import { type Json, parseExactJson } from '../json/exact-json.ts';
import type { AnswerHeaders, WireAnswer } from './exchange.ts';
import { excerpt } from './excerpt.ts';
import { isLong, parseInSteps } from '../json/json-in-steps.ts';
import { meaningOf, type Meaning } from '../api/responses.ts';

/** The answer's JSON, or the RequestError it means. `onMeaning` is told what it means in either case. */
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
  const bytes = withoutMark(wire.headers['content-encoding'] === undefined ? wire.body : await bodyOf(wire, maxBytes));
  const text = bytes.length <= step ? bytes.toString() : await longText(bytes);
  const meaning = meaningOf({ status: wire.status, headers: wire.headers, text, rules });
  onMeaning(meaning);
  if (meaning.action !== 'ok') throw answerFailure(facts, { meaning, wire, text });
  if (!isUtf8(bytes)) throw new BodyError('malformed', 'it is not UTF-8');
  return parseAnswer({ text, headers: wire.headers, status: wire.status, anyDepth }, facts);
}

/** An error's status says enough; that its page cannot be decompressed does not matter. */
async function bodyOf(wire: WireAnswer, maxBytes: number): Promise<Buffer> {
  try {
    return await decodeBody(wire, maxBytes);
  } catch (error) {
    if (error instanceof BodyError && wire.status >= 400) return Buffer.alloc(0);
    throw error;
  }
}

/** Bytes that are read as text within a few milliseconds. */
const step = 1024 * 1024;

/** Read as text in steps, between which other work has its turn. */
async function longText(bytes: Buffer): Promise<string> {
  // A character may lie across the end of a step.
  const decoder = new StringDecoder('utf8');
  let text = '';
  for (let index = 0; index < bytes.length; index += step) {
    text += decoder.write(bytes.subarray(index, index + step));
    // oxlint-disable-next-line no-await-in-loop -- lets other work run between two steps
    await setImmediate();
  }
  return text + decoder.end();
}

/** A byte order mark is not JSON, and some servers send one. */
function withoutMark(bytes: Buffer): Buffer {
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
    throw fault('RESPONSE_NOT_JSON', `answered ${status} with a page of markup, ${shown()}, where JSON was expected`);
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

/** Many servers send JSON as plain text, as bytes, or without saying what it is; what it says otherwise is believed. */
function couldBeJson(contentType: string): boolean {
  if (contentType === 'application/json') return true;
  const type = mediaType(contentType);
  return type === '' || type === 'text/plain' || type === 'application/octet-stream' || /[/+]json$/.test(type);
}

const mediaType = (contentType: string): string => contentType.split(';', 1)[0]!.trim().toLowerCase();
