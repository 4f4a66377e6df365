import { bash } from '../nodes/bash';
import { API_SERVER_FOLDER } from '../plan/clusterPaths';
import { BITS, parseIp } from '../plan/ip';
import { HEAD } from './units';

/**
 * Certificates of kubelets for the names and addresses that the API server reaches them by. The authority of the cluster
 * signs them, and nothing in Kubernetes decides who may have one: every control-plane node does, by what the site file says
 * of its machines. The addresses in a Node are no help, because a kubelet writes its own.
 */

/** A member of the cluster with all of its addresses. */
export interface Member {
  name: string;
  addresses: string[];
}

/** Who may have which names: a line for each node, in the words of `openssl req -text`. */
export const KUBELET_NAMES_FILE = `${API_SERVER_FOLDER}/kubelet-names`;
/** On every control-plane node; decides once about every request that waits. */
export const KUBELET_CERTIFICATES_PROGRAM = '/usr/local/sbin/sitewright-kubelet-certificates';
/** Runs it again and again, for certificates that are renewed (kubelet does so when 70 to 90 % of their year are over). */
export const KUBELET_CERTIFICATES_UNIT = 'sitewright-kubelet-certificates';

export function kubeletNames(members: Member[]): string {
  return members
    .map(({ name, addresses }) => [name, `DNS:${name}`, ...addresses.map((ip) => `IP Address:${asOpensslPrints(ip)}`)])
    .map((parts) => `${parts.join('|')}\n`)
    .sort()
    .join('');
}

/** IPv6: eight groups in upper case without leading zeros, none of them left out. */
function asOpensslPrints(address: string): string {
  const { family, text, value } = parseIp(address);
  if (family === 'ipv4') return text;
  const groups = Array.from({ length: 8 }, (_, index) => (value >> BigInt(BITS.ipv6 - 16 * (index + 1))) & 0xffffn);
  return groups.map((group) => group.toString(16).toUpperCase()).join(':');
}

/**
 * A request is approved when a node asks for itself (its user name is made by the API server, of the certificate it came
 * with) and for nothing but its own names, to serve. Others stay as they are, and the journal says why.
 */
const APPROVE = bash`
ask() { kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout 60s "$@"; }

# refusal REQUEST: sets WHY, empty where the request is to be approved. Returns 1 where it is decided already.
refusal() {
  local fields usages conditions request user line node='' subject text sans='' count=0 san name found=no
  local -a allowed=() wanted=()
  # The user comes last, with a word after it: whatever it holds, nothing else is read from it.
  fields=$(ask get "$1" -o 'jsonpath={.spec.usages[*]}|{.status.conditions[*].type}|{.spec.request}|{.spec.username}|end') || return 1
  IFS='|' read -r -d '' usages conditions request user <<<"$fields"
  user=\${user%$'\n'}
  [ -z "$conditions" ] || return 1

  while IFS= read -r line; do
    if [ "$user" = "system:node:\${line%%|*}|end" ]; then
      node=\${line%%|*}
      IFS='|' read -r -a allowed <<<"\${line#*|}"
    fi
  done <"$NAMES"
  WHY='it is of no node of this site'
  [ -n "$node" ] || return 0

  # In any order; kubelet asks for key encipherment with an RSA key only.
  line=\${usages/digital signature/} line=\${line/key encipherment/} line=\${line/server auth/}
  WHY="it is to be used for: $usages"
  [[ $usages = *'server auth'* && -z \${line// /} ]] || return 0

  WHY='it is not of the form that kubelet gives it'
  subject=$(base64 -d <<<"$request" | openssl req -noout -subject -nameopt RFC2253) || return 0
  case $subject in
    "subject=CN=system:node:$node,O=system:nodes" | "subject=O=system:nodes,CN=system:node:$node") ;;
    *) return 0 ;;
  esac
  text=$(base64 -d <<<"$request" | openssl req -noout -text) || return 0
  while IFS= read -r line; do
    if [ "$found" = yes ]; then sans=$line; fi
    found=no
    if [[ $line =~ ^\ *X509v3\ Subject\ Alternative\ Name: ]]; then found=yes count=$((count + 1)); fi
  done <<<"$text"
  [ "$count" = 1 ] || return 0

  sans=\${sans#"\${sans%%[! ]*}"}
  mapfile -t wanted <<<"\${sans//, /$'\n'}"
  for san in "\${wanted[@]}"; do
    found=no
    for name in "\${allowed[@]}"; do [ "$san" != "$name" ] || found=yes; done
    WHY="it is for $san, which is not a name of $node"
    [ "$found" = yes ] || return 0
  done
  WHY=
}

main() {
  local requests request
  requests=$(ask get certificatesigningrequests --field-selector spec.signerName=kubernetes.io/kubelet-serving -o name) || exit 1
  for request in $requests; do
    refusal "$request" || continue
    if [ -z "$WHY" ]; then
      ask certificate approve "\${request#*/}" || exit 1
    else
      echo "$request stays undecided: $WHY"
    fi
  done
}
main
`;

export const KUBELET_CERTIFICATES_TEXT = `#!/bin/bash
# Made by sitewright. Edits are undone by the next run on this node.
# Lets the nodes of the site have certificates of the cluster for their own names: what waits in kubectl get csr.
set -u
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
NAMES=${KUBELET_NAMES_FILE}

${APPROVE}`;

export const KUBELET_CERTIFICATES_SERVICE = `${HEAD}[Unit]
Description=Lets the nodes of the site have certificates for their own names
ConditionPathExists=/etc/kubernetes/admin.conf

[Service]
Type=oneshot
ExecStart=${KUBELET_CERTIFICATES_PROGRAM}
`;

/** A kubelet that asks waits for 15 minutes before it asks again. */
export const KUBELET_CERTIFICATES_TIMER = `${HEAD}[Unit]
Description=Lets the nodes of the site renew their certificates

[Timer]
OnBootSec=3min
OnUnitInactiveSec=5min

[Install]
WantedBy=timers.target
`;
