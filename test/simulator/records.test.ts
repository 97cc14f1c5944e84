import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  activePosition,
  contract,
  contractCount,
  contractStatus,
  listedContract,
  usage,
} from '../../src/simulator/records.ts';
import { getPath, parseJsonPath } from '../../src/sources/json/json-path.ts';
import { isExactNumber, numberText, parseExactJson, type Json } from '../../src/sources/json/exact-json.ts';

const seed = fc.integer({ min: 0, max: 2 ** 31 });
const position = fc.integer({ min: 0, max: 2_000_000 });

function at(json: Json, path: string): Json | undefined {
  return getPath(json, parseJsonPath(path)!);
}

function text(json: Json, path: string): string {
  const value = at(json, path);
  assert.ok(typeof value === 'string', `${path} is a text`);
  return value;
}

function digits(json: Json, path: string): string {
  const value = at(json, path);
  assert.ok(isExactNumber(value), `${path} is a number`);
  return numberText(value);
}

test('every contract is valid JSON whose amount has exactly two decimals', () => {
  fc.assert(
    fc.property(seed, position, (chosenSeed, chosen) => {
      const record = parseExactJson(contract(chosenSeed, 500, chosen));
      assert.match(contract(chosenSeed, 500, chosen), /"annualValue":\d{1,16}\.\d\d,/);
      if (at(record, 'renewsOn') !== null) {
        assert.match(text(record, 'renewsOn'), /^20\d\d-(0[1-9]|1[0-2])-([01]\d|2[0-8])$/);
      }
      assert.ok(['EUR', 'USD', 'GBP', 'CHF'].includes(text(record, 'currency')));
      assert.ok(text(record, 'customer.name').isWellFormed());
    }),
  );
});

test('the listing and the contract itself agree in every field they share', () => {
  fc.assert(
    fc.property(seed, position, (chosenSeed, chosen) => {
      const shared = listedContract(chosenSeed, 500, chosen).slice(0, -1);
      assert.ok(contract(chosenSeed, 500, chosen).startsWith(`${shared},`));
    }),
  );
});

test('a few amounts are beyond what a float can hold, and keep their digits', () => {
  const amounts = Array.from({ length: 5000 }, (_, index) =>
    digits(parseExactJson(contract(1, 100, index)), 'annualValue'),
  );
  const large = amounts.filter((amount) => Number(amount) > Number.MAX_SAFE_INTEGER);
  assert.ok(large.length >= 3 && large.length <= 30, `${large.length} of 5000`);
  assert.ok(large.every((amount) => /^9\d{15}\.\d\d$/.test(amount)));
});

test('customer names hold accents, quotes, tabs, backslashes, emoji and formulas', () => {
  const names = Array.from({ length: 1000 }, (_, index) =>
    text(parseExactJson(contract(1, 1000, index)), 'customer.name'),
  );
  for (const trap of ['ü', "'", '"', '\t', '\n', '\\', '🚀', '=SUM', '日本']) {
    assert.ok(
      names.some((name) => name.includes(trap)),
      JSON.stringify(trap),
    );
  }
});

test('usage is valid JSON with up to four decimals and differs from month to month', () => {
  const texts = Array.from({ length: 500 }, (_, customer) => usage(1, customer, '2026-03'));
  const units = texts.map((json) => digits(parseExactJson(json), 'units'));
  const decimals = new Set(units.map((unit) => unit.split('.')[1]?.length ?? 0));
  assert.deepEqual(decimals, new Set([0, 1, 2, 3, 4]));
  assert.notEqual(usage(1, 7, '2026-03').replace('2026-03', '2026-04'), usage(1, 7, '2026-04'));
});

test('the active positions are exactly the active contracts, in order', () => {
  for (const active of [0, 1, 8, 9, 10, 18, 19, 2000]) {
    const positions = Array.from({ length: contractCount(active) }, (_, index) => index);
    assert.deepEqual(
      positions.filter((index) => contractStatus(index) === 'active'),
      Array.from({ length: active }, (_, ordinal) => activePosition(ordinal)),
    );
  }
});
