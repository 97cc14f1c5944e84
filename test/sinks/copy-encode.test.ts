import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeCopy } from '../../src/sinks/copy-encode.ts';
import type { Row } from '../../src/sinks/copy-encode.ts';

/** Reads PostgreSQL's binary COPY format by its documentation, without looking at the encoder. */
function decode(bytes: Buffer): { ordinal: number; row: (string | null)[] }[] {
  assert.equal(bytes.subarray(0, 11).toString('latin1'), 'PGCOPY\n\xff\r\n\0');
  assert.equal(bytes.readInt32BE(11), 0);
  assert.equal(bytes.readInt32BE(15), 0);
  const decoded: { ordinal: number; row: (string | null)[] }[] = [];
  let at = 19;
  for (;;) {
    const fields = bytes.readInt16BE(at);
    at += 2;
    if (fields === -1) break;
    assert.equal(bytes.readInt32BE(at), 4);
    const ordinal = bytes.readInt32BE(at + 4);
    at += 8;
    const row = Array.from({ length: fields - 1 }, () => {
      const length = bytes.readInt32BE(at);
      at += 4;
      if (length === -1) return null;
      at += length;
      return bytes.toString('utf8', at - length, at);
    });
    decoded.push({ ordinal, row });
  }
  assert.equal(at, bytes.length, 'nothing follows the trailer');
  return decoded;
}

const encode = (rows: Row[]): Buffer => Buffer.concat([...encodeCopy(rows, rows.keys())]);

test('rows read back as they were written, whatever characters they hold', () => {
  const value = fc.option(fc.string({ unit: 'binary', maxLength: 60 }).map((text) => text.toWellFormed()));
  fc.assert(
    fc.property(fc.array(fc.tuple(value, value, value), { maxLength: 20 }), (rows) => {
      assert.deepEqual(
        decode(encode(rows)),
        rows.map((row, ordinal) => ({ ordinal, row })),
      );
    }),
  );
});

test('no row at all is a header and a trailer', () => {
  assert.deepEqual(decode(encode([])), []);
});

test('rows and values that end anywhere near the edge of a buffer survive it', () => {
  const buffer = 128 * 1024;
  for (let before = buffer - 80; before <= buffer + 10; before++) {
    const rows: Row[] = [['x'.repeat(before)], ['é'.repeat(9), null, 'y'.repeat(30)], [''], ['z']];
    assert.deepEqual(
      decode(encode(rows)).map(({ row }) => row),
      rows,
    );
  }
});

test('a value larger than a buffer travels whole', () => {
  const rows: Row[] = [
    ['a', '😀'.repeat(300_000)],
    ['b', 'x'.repeat(1_000_000)],
  ];
  assert.deepEqual(
    decode(encode(rows)).map(({ row }) => row),
    rows,
  );
});

test('only the ordinals asked for are sent, under their own numbers', () => {
  const rows: Row[] = [['a'], ['b'], ['c']];
  assert.deepEqual(decode(Buffer.concat([...encodeCopy(rows, [2, 0])])), [
    { ordinal: 2, row: ['c'] },
    { ordinal: 0, row: ['a'] },
  ]);
});

test('a buffer handed out is not written again, for the socket may still hold it', () => {
  const rows: Row[] = Array.from({ length: 4000 }, (_, index) => [`${index}`.repeat(20)]);
  const buffers: Buffer[] = [];
  const copies: Buffer[] = [];
  for (const buffer of encodeCopy(rows, rows.keys())) {
    buffers.push(buffer);
    copies.push(Buffer.from(buffer));
  }
  assert.ok(buffers.length > 1);
  assert.deepEqual(buffers, copies);
});
