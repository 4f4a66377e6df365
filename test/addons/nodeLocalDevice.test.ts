import { renderDeviceRemoval, renderDeviceScript } from '../../components/addons/nodeLocalDevice';
import { describeScripts } from '../support/bashScripts';
import { goldensOf } from '../support/golden';

const expectGolden = goldensOf(__dirname);
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
