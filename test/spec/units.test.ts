import { durationToMilliseconds, percentToNumber, sizeToBytes } from '../../components/spec';

test.each([
  ['1B', 1],
  ['512KiB', 524288],
  ['500MiB', 524288000],
  ['4GiB', 4294967296],
  ['2TiB', 2199023255552],
])('the size %s is %d bytes', (text, bytes) => {
  expect(sizeToBytes(text)).toBe(bytes);
});

test.each(['4', '4GB', '4 GiB', '1.5GiB', '0GiB', '-1GiB', '4gib', ''])('%p is no size', (text) => {
  expect(() => sizeToBytes(text)).toThrow(new RangeError(`${text} is not a size such as 4GiB`));
});

test.each([
  ['250ms', 250],
  ['15s', 15_000],
  ['0.5s', 500],
  ['10m', 600_000],
  ['2h', 7_200_000],
])('the duration %s is %d milliseconds', (text, milliseconds) => {
  expect(durationToMilliseconds(text)).toBe(milliseconds);
});

test.each(['15', '15 s', '-1s', '.5s', '1d', ''])('%p is no duration', (text) => {
  expect(() => durationToMilliseconds(text)).toThrow(new RangeError(`${text} is not a duration such as 15s`));
});

test('percentages', () => {
  expect(percentToNumber('0.5%')).toBe(0.5);
  expect(percentToNumber('100%')).toBe(100);
  expect(() => percentToNumber('5')).toThrow(new RangeError('5 is not a percentage such as 0.5%'));
});
