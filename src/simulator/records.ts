import { hash } from './hash.ts';

/*
 * Contracts and customers as JSON text. Each is a pure function of the seed and its position, so a million of them
 * take no memory. Text rather than objects, because amounts such as 9007199254740993.10 do not fit a JavaScript number.
 *
 * Of every ten contracts the last is expired, so that `status=active` filters something.
 */

const salt = { customer: 1, currency: 2, value: 3, rare: 4, renewal: 5, updated: 6, attributes: 7, name: 8, units: 9 };

// Characters that break loaders, CSV files and spreadsheets: quotes, tabs, line breaks, backslashes, formulas.
const firstNames = [
  'Müller',
  'Škoda & Łódź',
  "O'Brien",
  '"Quoted"',
  'Zoë Nuño',
  'Tab\tTrading',
  '🚀 Rocket',
  'Back\\slash',
  '日本橋',
  '=SUM(A1:A9)',
  'Line\nBreak',
  'Comma, Semicolon;',
  '\\N',
  'D’Arcy',
  'Northwind',
  'Contoso',
].map(escaped);
const lastNames = ['GmbH', 'S.A.', 'Ltd', '& Sons', 'AG', 'Société Générale', '株式会社', 'Inc.'].map(escaped);
const countries = ['DE', 'FR', 'US', 'CH', 'GB', 'PL', 'JP', 'BR'];
const currencies = ['EUR', 'USD', 'GBP', 'CHF'];
const tiers = ['bronze', 'silver', 'gold', 'platinum'];

function escaped(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

/** The number of contracts of any status when `active` of them are active. */
export function contractCount(active: number): number {
  return active === 0 ? 0 : activePosition(active - 1) + 1;
}

/** The position of the active contract number `ordinal` (from 0) among all contracts. */
export function activePosition(ordinal: number): number {
  return ordinal + Math.floor(ordinal / 9);
}

export function contractStatus(position: number): 'active' | 'expired' {
  return position % 10 === 9 ? 'expired' : 'active';
}

export function contractId(position: number): string {
  return `CT-${String(position + 1).padStart(7, '0')}`;
}

export function customerId(position: number): string {
  return `CU-${String(position + 1).padStart(7, '0')}`;
}

/** The contract as in the listing. */
export function listedContract(seed: number, customers: number, position: number): string {
  return `{${contractFields(seed, customers, position)}}`;
}

/** The contract as at its own path. */
export function contract(seed: number, customers: number, position: number): string {
  const customer = hash(seed, position, salt.customer) % customers;
  const bits = hash(seed, position, salt.attributes);
  return `{${contractFields(seed, customers, position)},"customer":{"name":"${customerName(seed, customer)}","country":"${pick(countries, customer)}"},"renewsOn":${renewal(seed, position)},"attributes":{"tier":"${pick(tiers, bits)}","seats":${(bits >>> 4) % 500},"discount":0.${(bits >>> 13) % 10}0,"tags":["${pick(firstNames, bits >>> 20)}","${pick(lastNames, bits >>> 24)}"],"note":${bits % 5 === 0 ? 'null' : '"caf\\u00e9 \\"au lait\\""'}}}`;
}

function contractFields(seed: number, customers: number, position: number): string {
  const customer = hash(seed, position, salt.customer) % customers;
  const currency = pick(currencies, hash(seed, position, salt.currency));
  return `"id":"${contractId(position)}","customerId":"${customerId(customer)}","status":"${contractStatus(position)}","currency":"${currency}","annualValue":${annualValue(seed, position)},"updatedAt":"${updatedAt(seed, position)}"`;
}

/** What the customer used in the month (`YYYY-MM`): up to four decimals, as digits. */
export function usage(seed: number, customer: number, month: string): string {
  const monthNumber = Number(month.slice(0, 4)) * 12 + Number(month.slice(5));
  const bits = hash(hash(seed, customer, salt.units), monthNumber, salt.units);
  const decimals = bits % 5;
  const fraction =
    decimals === 0
      ? ''
      : `.${String((bits >>> 3) % 10_000)
          .padStart(4, '0')
          .slice(0, decimals)}`;
  return `{"customerId":"${customerId(customer)}","month":"${month}","units":${(bits >>> 8) % 100_000}${fraction}}`;
}

/** Two decimals, trailing zeros kept. One in about five hundred is beyond 2^53, up to sixteen digits before the point. */
function annualValue(seed: number, position: number): string {
  const bits = hash(seed, position, salt.value);
  const cents = String(bits % 100).padStart(2, '0');
  const rare = hash(seed, position, salt.rare);
  if (rare % 499 === 0) return `${9_007_199_254_740_993n + BigInt(bits)}.${cents}`;
  if (rare % 97 === 0) return '0.00';
  return `${(bits >>> 7) % 1_000_000}.${cents}`;
}

function customerName(seed: number, customer: number): string {
  const bits = hash(seed, customer, salt.name);
  return `${pick(firstNames, bits)} ${pick(lastNames, bits >>> 8)} ${customer + 1}`;
}

function renewal(seed: number, position: number): string {
  const bits = hash(seed, position, salt.renewal);
  return bits % 8 === 0 ? 'null' : `"${date(2026 + (bits % 3), bits >>> 3)}"`;
}

function updatedAt(seed: number, position: number): string {
  const bits = hash(seed, position, salt.updated);
  return `${date(2025, bits)}T${twoDigits((bits >>> 10) % 24)}:${twoDigits((bits >>> 15) % 60)}:${twoDigits((bits >>> 21) % 60)}Z`;
}

function date(year: number, bits: number): string {
  return `${year}-${twoDigits(1 + (bits % 12))}-${twoDigits(1 + ((bits >>> 4) % 28))}`;
}

function twoDigits(number: number): string {
  return number < 10 ? `0${number}` : `${number}`;
}

function pick(words: readonly string[], bits: number): string {
  return words[bits % words.length]!;
}
