/**
 * One end of the temporary pod network of a pair.
 *
 * A pod is a network namespace with a veth. With a tunnel, the other end of the veth and the tunnel device are in a
 * second namespace that forwards as a node does, while the tunnel's outer packets stay in the node's own stack (the
 * kernel keeps them in the namespace where the device was made). So the outer packets take the real path, and nothing
 * of the probe meets the node's routes, policies or sysctls, nor outlives the process. The firewall of forwarded
 * packets on the node is therefore not judged here: Calico programs it later.
 *
 * Without encapsulation pod packets are the outer packets: then the veth ends in the node itself, which forwards them
 * with its own settings, and one route to the other pod is added, and removed again.
 */
export const nodeTunnel = String.raw`
def sysctl(path, value):
    with open('/proc/sys/net/' + path, 'w') as file:
        file.write(value)


def device_of(address):
    for link in json.loads(command('ip', '-j', 'address', 'show')):
        if any(info.get('local') == address for info in link.get('addr_info', [])):
            return link['ifname']
    raise Failure('no device of the node has the address ' + address)


def link_facts(device):
    link = json.loads(command('ip', '-d', '-j', 'link', 'show', 'dev', device))[0]
    return {'device': device, 'mtuBytes': link['mtu'], 'maxMtuBytes': link.get('max_mtu') or None}


class Tunnel:
    """spec: family, kind, local, remote, podMtuBytes, pod, podGateway, peerPod, inner, peerInner, vni, port, wireguard"""

    def __init__(self, spec, nic):
        self.spec, self.nic = spec, nic
        self.ip = ['ip', '-4' if spec['family'] == 'ipv4' else '-6']
        self.all_bits = '/32' if spec['family'] == 'ipv4' else '/128'
        self.pair_bits = '/30' if spec['family'] == 'ipv4' else '/126'
        self.pod = new_namespace()
        self.router = None if spec['kind'] == 'none' else new_namespace()
        self.veth = 'swp-%s-v' % RUN
        self.tunnel = 'swp-%s-t' % RUN
        mtu = str(spec['podMtuBytes'])

        with inside(self.router):
            if self.router is None:
                undo_later('ip', 'link', 'del', self.veth)
            command('ip', 'link', 'add', self.veth, 'mtu', mtu, 'type', 'veth',
                    'peer', 'name', 'eth0', 'mtu', mtu, 'netns', self.path(self.pod))
            self.address(self.veth, spec['podGateway'] + self.pair_bits)
            command('ip', 'link', 'set', self.veth, 'up')
        with inside(self.pod):
            self.address('eth0', spec['pod'] + self.pair_bits)
            command('ip', 'link', 'set', 'eth0', 'up')
            command(*self.ip, 'route', 'add', 'default', 'via', spec['podGateway'])
        if self.router is None:
            self.route_plain()
        else:
            self.route_through_tunnel(mtu)

    def path(self, ns):
        return '/proc/%d/fd/%d' % (os.getpid(), ns)

    def address(self, device, address):
        # Duplicate address detection would keep the address tentative for a second, and these exist nowhere else.
        command(*self.ip, 'address', 'add', address, 'dev', device, *(['nodad'] if ':' in address else []))

    def route_plain(self):
        route = [self.spec['peerPod'] + self.all_bits, 'via', self.spec['remote'], 'dev', self.nic]
        undo_later(*self.ip, 'route', 'del', *route)
        command(*self.ip, 'route', 'add', *route)

    def route_through_tunnel(self, mtu):
        spec, kind = self.spec, self.spec['kind']
        ends = ['local', spec['local'], 'remote', spec['remote']]
        types = {
            'ipip': ['type', 'ipip', *ends, 'ttl', '64', 'pmtudisc'],
            'vxlan': ['type', 'vxlan', 'id', str(spec['vni']), *ends, 'dstport', str(spec['port'])],
            'wireguard': ['type', 'wireguard'],
        }
        undo_later('ip', 'link', 'del', self.tunnel)
        command('ip', 'link', 'add', self.tunnel, *types[kind])
        if kind == 'wireguard':
            keys = spec['wireguard']
            peer = '[%s]' % spec['remote'] if ':' in spec['remote'] else spec['remote']
            command('wg', 'set', self.tunnel, 'listen-port', str(spec['port']), 'private-key', '/dev/stdin',
                    'peer', keys['peerPublicKey'], 'endpoint', '%s:%d' % (peer, spec['port']),
                    'allowed-ips', '0.0.0.0/0,::/0', stdin=keys['privateKey'])
        command('ip', 'link', 'set', self.tunnel, 'netns', self.path(self.router))
        with inside(self.router):
            for version in ('ipv4', 'ipv6'):
                if os.path.exists('/proc/sys/net/%s/conf/all/forwarding' % version):
                    sysctl(version + '/conf/all/forwarding', '1')
            command('ip', 'link', 'set', self.tunnel, 'mtu', mtu)
            self.address(self.tunnel, spec['inner'] + self.pair_bits)
            command('ip', 'link', 'set', self.tunnel, 'up')
            # VXLAN is a segment and needs a next hop in it; the others are point to point.
            hop = ['via', spec['peerInner']] if kind == 'vxlan' else []
            command(*self.ip, 'route', 'add', spec['peerPod'] + self.all_bits, *hop, 'dev', self.tunnel)

    def set_mtu(self, mtu):
        """Both ends of the veth and the tunnel device."""
        with inside(self.pod):
            command('ip', 'link', 'set', 'eth0', 'mtu', str(mtu))
        with inside(self.router):
            command('ip', 'link', 'set', self.veth, 'mtu', str(mtu))
            if self.router is not None:
                command('ip', 'link', 'set', self.tunnel, 'mtu', str(mtu))

    def remove(self):
        with inside(self.router):
            command('ip', 'link', 'del', self.veth, check=False)
            if self.router is not None:
                command('ip', 'link', 'del', self.tunnel, check=False)
        if self.router is None:
            command(*self.ip, 'route', 'del', self.spec['peerPod'] + self.all_bits, 'via', self.spec['remote'],
                    'dev', self.nic, check=False)
`;
