/**
 * Times: read as the API reads them, kept as samples, written so that they mean exactly that sample.
 *
 * A sample is a whole number counted from the first audible one; the rate is samples a second. All arithmetic between times and samples
 * is done in whole nanoseconds with BigInt, since binary fractions would be off by one now and then.
 */

const SECOND = 1_000_000_000n;
const TIME = /^(?:(?:(\d{1,6}):)?([0-5]\d):([0-5]\d)|(\d{1,9}))(?:\.(\d{0,9}))?$/;

/** A text that is no time; the message says why and what would be one. */
export class TimeError extends Error {}

/** Read a time in any spelling that the API accepts; nanoseconds as BigInt. Raises TimeError. */
export function parseTime(text) {
  const body = text.trim().replace(/^npt:/, '');
  if (!body) throw new TimeError('Type a time, like 3000 or 50:00 or 0:50:00.5.');
  const match = TIME.exec(body);
  if (!match) {
    throw new TimeError(
      body.includes(':')
        ? `“${body}” is not a time: minutes and seconds need two digits, like 05:00 or 1:05:00.`
        : `“${body}” is not a time: type seconds like 3000.5, or 50:00, or 0:50:00.`,
    );
  }
  const [, hours, minutes, seconds, plain, fraction] = match;
  const whole = plain ? BigInt(plain) : BigInt(hours || 0) * 3600n + BigInt(minutes) * 60n + BigInt(seconds);
  return whole * SECOND + BigInt((fraction || '').padEnd(9, '0'));
}

/** Read `start,end`, as a URL has it; [start, end] in nanoseconds, or null where the text is no pair. Raises TimeError. */
export function parsePair(text) {
  const [first, second, ...more] = text.trim().replace(/^npt:/, '').split(',');
  if (second === undefined || more.length) return null;
  return [first.trim() ? parseTime(first) : 0n, parseTime(second)];
}

/** The sample that a time is rounded to: the nearest, halves up, as the server does it. */
export function sampleAt(nanoseconds, rate) {
  return Number((nanoseconds * BigInt(rate) * 2n + SECOND) / (2n * SECOND));
}

/** The shortest decimal of seconds that is rounded to this sample. */
export function secondsText(sample, rate) {
  const [whole, digits] = shortest(sample, rate);
  return digits ? `${whole}.${digits}` : `${whole}`;
}

/** The same time as minutes and seconds, with hours where there are any: 50:00.5, 1:02:03. */
export function clockText(sample, rate) {
  const [whole, digits] = shortest(sample, rate);
  return clock(Number(whole)) + (digits ? `.${digits}` : '');
}

/** A time to look at, with a fixed number of decimals, cut off. */
export function roughClock(sample, rate, decimals = 3) {
  const scaled = Math.floor((sample * 10 ** decimals) / rate + 1e-6);
  const whole = Math.floor(scaled / 10 ** decimals);
  return clock(whole) + (decimals ? `.${String(scaled % 10 ** decimals).padStart(decimals, '0')}` : '');
}

/** A length in words: 1 h 02 min, 3 min 05 s. */
export function lengthText(seconds) {
  const whole = Math.round(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60)];
  if (hours) return `${hours} h ${String(minutes).padStart(2, '0')} min`;
  if (minutes) return `${minutes} min ${String(whole % 60).padStart(2, '0')} s`;
  return `${Math.round(seconds * 10) / 10} s`;
}

function clock(whole) {
  const two = (number) => String(number).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  return `${hours ? `${hours}:` : ''}${two(Math.floor((whole % 3600) / 60))}:${two(whole % 60)}`;
}

/** Whole seconds and decimals of the shortest decimal for a sample. */
function shortest(sample, rate) {
  for (let places = 0; ; places += 1) {
    const unit = 10n ** BigInt(places);
    const number = (BigInt(sample) * unit * 2n + BigInt(rate)) / (2n * BigInt(rate));
    if (places === 9 || sampleAt(number * 10n ** BigInt(9 - places), rate) === sample) {
      const digits = places ? String(number % unit).padStart(places, '0') : '';
      return [number / unit, digits];
    }
  }
}
