import type { KubeDocument } from './clusterTypes';

/** What pods may reach and who may reach them, as objects. */
export interface PolicyPlan {
  /** In the order of the site file. */
  namespaces: PolicyNamespace[];
  /** Zone that pods with personal data are kept in; null: none. */
  residencyZone: string | null;
  /** For the whole cluster, in the order in which they are applied. */
  objects: KubeDocument[];
}

export interface PolicyNamespace {
  name: string;
  personal: boolean;
  /** The Namespace itself: it stays when it is no longer planned, with all that is in it. */
  namespace: KubeDocument;
  /** Standard NetworkPolicies. */
  policies: KubeDocument[];
}
