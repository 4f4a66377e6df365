import * as pulumi from '@pulumi/pulumi';
import type { KvmImagePlan, SitePlan } from '../components/plan';
import { labConfig } from '../scripts/lab/lab';

/**
 * Fills in what a lab's site file leaves to this machine: the image that it built, what boots a guest here, and how much
 * slower than the machine of the kit's time limits it is. Other sites come back as they are.
 */
export async function withLab(plan: SitePlan): Promise<{ plan: SitePlan; limitFactor: number }> {
  const { kvm } = plan.machines;
  if (kvm?.image !== 'lab') return { plan, limitFactor: 1 };
  const lab = await labConfig(plan.site);
  if (lab === undefined) {
    throw new pulumi.RunError(`the lab of ${plan.site} is not up on this machine. Run ./scripts/up ${plan.site}`);
  }
  const image: KvmImagePlan = {
    path: lab.image.image.path,
    url: null,
    sha256: lab.image.image.sha256,
    format: 'qcow2',
    kernel: {
      path: lab.image.kernel.path,
      sha256: lab.image.kernel.sha256,
      initrd: lab.image.initrd.path,
      initrdSha256: lab.image.initrd.sha256,
      arguments: lab.image.kernelArgs,
    },
  };
  const hypervisors = kvm.hypervisors.map((hypervisor) => ({
    ...hypervisor,
    domainType: hypervisor.domainType === 'auto' ? lab.accelerator.domainType : hypervisor.domainType,
  }));
  return {
    plan: { ...plan, machines: { ...plan.machines, kvm: { ...kvm, image, hypervisors } } },
    limitFactor: lab.accelerator.speedFactor,
  };
}
