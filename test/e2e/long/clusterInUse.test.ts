import { ClusterLab } from '../clusterLab';
import { data } from './inUse/data';
import { drift } from './inUse/drift';
import { members } from './inUse/members';
import { proxyModes } from './inUse/proxyModes';
import { upgrade } from './inUse/upgrade';

/**
 * What happens to a cluster in its life, on one lab: one made for each story would take a third of an hour every time. Each
 * story begins with the committed site, so any one of them runs alone too (`-t`); the upgrade is last, since nothing leads
 * back from it.
 */

jest.setTimeout(60 * 60 * 1000);

const lab = new ClusterLab('use');

beforeAll(() => lab.fromNothing());

afterAll(async () => {
  await lab.down();
  lab.remove();
});

members(lab);
drift(lab);
data(lab);
proxyModes(lab);
upgrade(lab);
