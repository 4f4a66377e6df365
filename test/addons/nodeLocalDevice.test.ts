import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderDeviceRemoval, renderDeviceScript } from '../../components/addons/nodeLocalDevice';
import { describeScripts } from '../support/bashScripts';

/** Compares with test/addons/golden/<name>; UPDATE_GOLDENS=1 writes it, and the change is reviewed like code. */
function expectGolden(name: string, text: string): void {
  const file = join(__dirname, 'golden', name);
  if (process.env.UPDATE_GOLDENS === '1') writeFileSync(file, text);
  expect(existsSync(file) ? readFileSync(file, 'utf8') : `${name} is missing`).toBe(text);
}

const scripts: [name: string, text: string][] = [
  ['device.sh', renderDeviceScript('169.254.20.10')],
  ['device-remove.sh', renderDeviceRemoval()],
];
describeScripts(scripts, expectGolden);

test('an IPv6 address has its own family and length', () => {
  const text = renderDeviceScript('fd53:5157:20::10');
  expect(text).toContain('ip address replace fd53:5157:20::10/128 dev nodelocaldns');
  expect(text).toContain('ip6 daddr fd53:5157:20::10 meta l4proto');
});
