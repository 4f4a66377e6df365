import { labLayout } from '../../scripts/lab/layout';
import { LabError } from '../../scripts/lab/run';

describe('the layout of a lab', () => {
  it('keeps two labs apart: they share no path, namespace or socket', () => {
    const own = (name: string) => {
      const { namespace, middleNamespace, runDirectory, stateDirectory, libvirtUri, lockFile } = labLayout(name);
      return [namespace, middleNamespace, runDirectory, stateDirectory, libvirtUri, lockFile];
    };
    const shared = own('one').filter((value) => own('two').includes(value));
    expect(shared).toEqual([]);
  });

  it('is one subnet behind two bridges when flat', () => {
    const [near, far] = labLayout('lab').subnets;
    expect(far.ipv4).toBe(near.ipv4);
    expect(far.ipv6).toBe(near.ipv6);
    expect(far.bridge).not.toBe(near.bridge);
  });

  it('is two subnets with a gateway each when routed', () => {
    const [near, far] = labLayout('lab', 'routed').subnets;
    expect(far.ipv4).not.toBe(near.ipv4);
    expect(far.ipv6).not.toBe(near.ipv6);
    expect(far.ipv4Gateway).not.toBe(near.ipv4Gateway);
  });

  it.each(['', 'Lab', '../etc', 'a/b', 'a b', '-x', '1lab', 'a'.repeat(22), 'lab-mid'])(
    'refuses the name %j as bad input',
    (name) => {
      expect(() => labLayout(name)).toThrow(LabError);
      expect(() => labLayout(name)).toThrow(expect.objectContaining({ exitCode: 2 }));
    },
  );

  it('reads and writes nothing outside directories of its own', () => {
    const { runDirectory, stateDirectory, poolDirectory, libvirtSocket, configFile } = labLayout('t');
    expect(poolDirectory.startsWith(`${stateDirectory}/`)).toBe(true);
    expect(configFile.startsWith(`${stateDirectory}/`)).toBe(true);
    expect(libvirtSocket.startsWith(`${runDirectory}/`)).toBe(true);
  });
});
