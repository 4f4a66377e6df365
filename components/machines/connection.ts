import * as pulumi from '@pulumi/pulumi';
import type { SshConnection } from '../commands';
import type { SshEndpointPlan } from '../plan/types';
import type { SiteSecrets } from './machine';

/** Every host of a site is logged in to with the one SSH key of the site: hypervisors, jump host and machines. */
export function sshConnection(
  endpoint: Omit<SshEndpointPlan, 'hostKey'>,
  hostKey: pulumi.Input<string>,
  secrets: SiteSecrets,
  jump: SshEndpointPlan | null,
): SshConnection {
  return {
    host: endpoint.host,
    port: endpoint.port,
    user: endpoint.user,
    privateKey: pulumi.secret(secrets.sshPrivateKey),
    hostKey,
    ...(jump === null ? {} : { jump: sshConnection(jump, jump.hostKey, secrets, null) }),
  };
}
