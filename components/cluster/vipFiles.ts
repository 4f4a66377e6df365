import { createHmac } from 'node:crypto';
import type { ClusterPlan, VipPlan } from '../plan/clusterTypes';
import { bracketed } from '../plan/ip';
import type { ClusterPki } from '../secrets/pki';
import { HEAD } from './units';

/**
 * Files of a node that shares the virtual address of the control plane. keepalived decides who holds the address; haproxy
 * on every such node leads from it to every API server that is ready, so the address need not follow an API server.
 */

export const VIP_FOLDER = '/etc/sitewright/vip';
export const HAPROXY_FILE = `${VIP_FOLDER}/haproxy.cfg`;
export const KEEPALIVED_FILE = `${VIP_FOLDER}/keepalived.conf`;
export const HEALTH_FILE = `${VIP_FOLDER}/health`;
/** Units of our own: a haproxy or keepalived that the owner of a machine runs is left alone. */
export const HAPROXY_UNIT = 'sitewright-api-proxy';
export const KEEPALIVED_UNIT = 'sitewright-vip';
/** Loopback only: says whether haproxy of this node knows an API server that is ready. */
export const HEALTH_PORT = 6444;
/** Stands in keepalived.conf for the interface that has the node's address; the node puts it in its place. */
export const INTERFACE_PLACE = '@INTERFACE@';

/** kubelet's own limit for an idle `kubectl exec` or `logs --follow` (streamingConnectionIdleTimeout). */
const IDLE_LIMIT = '4h';

/**
 * The API server listens on every address, haproxy on the virtual one, both on the same port. Linux allows that where both
 * set SO_REUSEPORT (haproxy always, the API server by --permit-port-sharing) and belong to the same user, which is root
 * when they bind; a connection then goes to the socket whose address fits best (tried with kube-apiserver 1.36.1, haproxy
 * 2.6, IPv4 and IPv6; without the flag haproxy says "Address already in use"). So the endpoint's port is the same with one
 * control-plane node and with five, and while haproxy is down the API server of that node itself answers on the address.
 * `transparent`: haproxy starts on every node, and the address is on one of them.
 */
export function haproxyConfiguration({ endpoint, vip }: { endpoint: ClusterPlan['endpoint']; vip: VipPlan }): string {
  const servers = vip.members.map(({ node, address }) => `  server ${node} ${bracketed(address)}:${endpoint.port}\n`);
  return `${HEAD}global
  user haproxy
  group haproxy
  chroot /var/lib/haproxy
  log stdout format raw local0 notice

defaults
  mode tcp
  log global
  option dontlognull
  option clitcpka
  option srvtcpka
  timeout connect 10s
  timeout client ${IDLE_LIMIT}
  timeout server ${IDLE_LIMIT}
  timeout check ${vip.checkSeconds * 2}s

frontend api
  bind ${bracketed(vip.address)}:${endpoint.port} transparent
  default_backend api

backend api
  balance leastconn
  option httpchk
  http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host ${endpoint.name}
  http-check expect status 200
  # An API server of another cluster, or one that is shutting down, gets nobody; who was connected comes again.
  default-server check check-ssl verify required ca-file /etc/kubernetes/pki/ca.crt inter ${vip.checkSeconds}s rise 2 fall 3 on-marked-down shutdown-sessions
${servers.join('')}
frontend health
  mode http
  timeout client 10s
  bind 127.0.0.1:${HEALTH_PORT}
  monitor-uri /healthz
  monitor fail if { nbsrv(api) eq 0 }
`;
}

/**
 * Every node has the same priority, so that one that comes back takes nothing from the one that holds the address: each
 * move cuts every connection through it. For the same reason there is no `nopreempt`, which would also keep a healthy node
 * from taking over from one whose check fails. A failed check costs priority instead of the membership: when it fails
 * everywhere, as before the first API server starts, somebody still holds the address.
 *
 * The advertisements go from node to node, and only those of the peers count. The password is VRRP version 2's, which
 * travels in the clear: it keeps sites with the same number apart, and does not stop an attacker. Version 3, which IPv6
 * needs, has none (RFC 9568).
 */
export function keepalivedConfiguration(node: string, vip: VipPlan, pki: Pick<ClusterPki, 'ca'>): string {
  const own = vip.members.find((member) => member.node === node)!;
  const peers = vip.members.filter((member) => member !== own);
  const isIpv6 = vip.address.includes(':');
  return `${HEAD}global_defs {
  enable_script_security
  script_user nobody nogroup
  vrrp_garp_master_refresh 60
}

vrrp_script api {
  script "${HEALTH_FILE}"
  interval ${vip.checkSeconds}
  timeout ${vip.checkSeconds * 2}
  fall 2
  rise 2
  weight -50
}

vrrp_instance api {
  state BACKUP
  interface ${INTERFACE_PLACE}
  virtual_router_id ${vip.vrid}
  priority 100
  advert_int ${vip.advertSeconds}
${
  // Without a peer there is nobody to send to, and keepalived falls back to the multicast group.
  peers.length === 0
    ? ''
    : `  unicast_src_ip ${own.address}
  check_unicast_src
  unicast_peer {
${peers.map(({ address }) => `    ${address}\n`).join('')}  }
`
}${
    isIpv6
      ? ''
      : `  authentication {
    auth_type PASS
    auth_pass ${vrrpPassword(pki)}
  }
`
  }  virtual_ipaddress {
    ${vip.address}/${isIpv6 ? 128 : 32}
  }
  track_script {
    api
  }
}
`;
}

/** The eight characters that VRRP has room for, made of a secret of the site: nothing more to keep or to rotate. */
const vrrpPassword = ({ ca }: Pick<ClusterPki, 'ca'>) =>
  createHmac('sha256', ca.privateKey).update('vrrp').digest('hex').slice(0, 8);

/** Run by keepalived as nobody. Builtins alone: a process costs an emulated node 20 ms. */
export const HEALTH_SCRIPT = `#!/bin/bash
# Made by sitewright. Succeeds while haproxy of this node knows an API server that is ready.
exec 3<>/dev/tcp/127.0.0.1/${HEALTH_PORT} || exit 1
printf 'GET /healthz HTTP/1.0\\r\\n\\r\\n' >&3
read -r -t 5 _ code _ <&3
[ "$code" = 200 ]
`;

/** As the package's own unit has it, with our file. */
export const HAPROXY_SERVICE = `${HEAD}[Unit]
Description=Leads from the virtual address of the control plane to its API servers
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
ExecStart=/usr/sbin/haproxy -Ws -f ${HAPROXY_FILE} -p /run/${HAPROXY_UNIT}.pid
ExecReload=/usr/sbin/haproxy -Ws -f ${HAPROXY_FILE} -c -q
ExecReload=/bin/kill -USR2 $MAINPID
KillMode=mixed
Restart=always
RestartSec=2
SuccessExitStatus=143

[Install]
WantedBy=multi-user.target
`;

/** VRRP alone, in the foreground. */
export const KEEPALIVED_SERVICE = `${HEAD}[Unit]
Description=Holds the virtual address of the control plane in turn with its peers
After=network-online.target ${HAPROXY_UNIT}.service
Wants=network-online.target

[Service]
ExecStart=/usr/sbin/keepalived --dont-fork --log-console --no-syslog --vrrp --use-file=${KEEPALIVED_FILE} --pid=/run/${KEEPALIVED_UNIT}.pid --vrrp_pid=/run/${KEEPALIVED_UNIT}-vrrp.pid
ExecReload=/bin/kill -HUP $MAINPID
KillMode=mixed
Restart=always
RestartSec=2

[Install]
WantedBy=multi-user.target
`;
