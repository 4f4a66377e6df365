import type { VsphereAccess } from '../../components/machines';
import type { VspherePlan } from '../../components/plan';
import { planned, plannedIds } from '../../scripts/render/vsphere';

/** Planted: nothing may show it. */
export const VCENTER_PASSWORD = 'pw of the vCenter, 7f3a';

/** What `sitewright render` has in place of the package and of the vCenter; the schema test holds it against the provider. */
export const accessOf = (vsphere: VspherePlan): VsphereAccess => ({
  provider: planned,
  ids: plannedIds(vsphere),
  user: 'sitewright@vsphere.local',
  password: VCENTER_PASSWORD,
});
