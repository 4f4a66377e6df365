/**
 * The probe's dispatcher: one JSON line per request in the run's FIFO, one JSON line per answer on stdout. Requests run
 * side by side; the time limit, the connection and the clean-up are the guardian's affair.
 */
export const nodeServe = String.raw`
STATE = {'captures': {}, 'tunnels': {}, 'nic_lock': None}


def fragment_counters(family):
    """Counters of fragments of the node: made when sending, asked to be put together when receiving."""
    if family == 'ipv4':
        lines = [line.split() for line in open('/proc/net/snmp') if line.startswith('Ip: ')]
        table = dict(zip(lines[0], lines[1]))
        return {'created': int(table['FragCreates']), 'received': int(table['ReasmReqds'])}
    table = dict(line.split() for line in open('/proc/net/snmp6'))
    return {'created': int(table['Ip6FragCreates']), 'received': int(table['Ip6ReasmReqds'])}


def runs_calico():
    """Whether the node is a member of a living cluster with Calico: by its devices, or its programs in the node's network."""
    if any(name.startswith('cali') or name.endswith(('.calico', '.cali')) for name in os.listdir('/sys/class/net')):
        return True
    for path in glob.glob('/proc/[0-9]*/comm'):
        try:
            with open(path) as file:
                if file.read().startswith('calico') and os.path.samestat(os.fstat(ROOT), os.stat(path[:-4] + 'ns/net')):
                    return True
        except OSError:
            pass  # It ended meanwhile.
    return False


def op_hello(address):
    subprocess.run(['ip', 'route', 'flush', 'cache'], capture_output=True)
    subprocess.run(['ip', '-6', 'route', 'flush', 'cache'], capture_output=True)
    read = lambda path: open('/proc/sys/net/' + path).read().strip() if os.path.exists('/proc/sys/net/' + path) else '0'
    return dict(link_facts(device_of(address)), calico=runs_calico(),
                forwarding={'ipv4': read('ipv4/ip_forward') == '1', 'ipv6': read('ipv6/conf/all/forwarding') == '1'})


def op_capture(family, address, port, token, peer):
    # Never read: an open port keeps the node from answering every probe with "port unreachable".
    STATE['sink', family] = udp(None, family, address, port)
    STATE['received', family] = fragment_counters(family)['received']
    STATE['captures']['underlay', family] = Capture(device_of(address), None, family, bytes.fromhex(token), peer)


def op_tunnel(family, spec, token, port):
    tunnel = Tunnel(spec, device_of(spec['local']))
    STATE['tunnels'][family] = tunnel
    STATE['captures']['tunnel', family] = Capture('eth0', tunnel.pod, family, bytes.fromhex(token), spec['peerPod'])
    STATE['podsink', family] = udp(tunnel.pod, family, spec['pod'], port)
    tcp_serve(tunnel.pod, family, spec['pod'], port)


def op_tunnel_mtu(family, mtuBytes):
    STATE['tunnels'][family].set_mtu(mtuBytes)


def op_tunnel_remove(family):
    STATE['tunnels'].pop(family).remove()


def op_send(level, family, source, target, port, token, round, sizes, copies):
    ns = STATE['tunnels'][family].pod if level == 'tunnel' else None
    before = fragment_counters(family)['created']
    sent = send_sizes(ns, family, source, target, port, bytes.fromhex(token), round, sizes, copies)
    return dict(sent, created=fragment_counters(family)['created'] - before)


def op_collect(level, family, round, seconds):
    """What arrived since the last time; for a tunnel also the outer fragments that the node's own device saw."""
    seen = STATE['captures'][level, family].collect(round, seconds)
    if level == 'tunnel':
        seen['fragments'] = STATE['captures']['underlay', family].collect(round, 0)['fragments']
    before = STATE['received', family]
    STATE['received', family] = fragment_counters(family)['received']
    return dict(seen, received=STATE['received', family] - before)


def op_nic_raise(device, bytes):
    """One byte more on the node's device, for the moment of one probe. One run at a time may do that to a node."""
    lock = os.open('/run', os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    STATE['nic_lock'] = lock
    before = link_facts(device)
    undo_later('ip', 'link', 'set', device, 'mtu', str(before['mtuBytes']))
    done = subprocess.run(['ip', 'link', 'set', device, 'mtu', str(bytes)], capture_output=True, text=True)
    return {'refused': done.stderr.strip().splitlines()[-1] if done.returncode else None, 'before': before['mtuBytes']}


def op_nic_restore(device, bytes):
    command('ip', 'link', 'set', device, 'mtu', str(bytes))
    os.close(STATE['nic_lock'])


def op_echo(family, address, port, token):
    seen = STATE['echo', family] = [0]
    daemon(echo, None, family, address, port, bytes.fromhex(token), seen)


def op_echo_seen(family):
    return {'received': STATE['echo', family][0]}


def op_round_trips(family, source, target, port, token, count, gapSeconds):
    return round_trips(family, source, target, port, bytes.fromhex(token), count, gapSeconds)


def op_tcp(family, target, port, bytes, seconds):
    return tcp_transfer(STATE['tunnels'][family].pod, family, target, port, bytes, seconds)


def op_listen(family, address, ports, token):
    made = STATE['listeners', family] = Listeners(family, address, ports, bytes.fromhex(token))
    return made.state


def op_try_ports(family, source, target, ports, fencePort, token, round, seconds):
    return try_ports(family, source, target, ports, fencePort, bytes.fromhex(token), round, seconds)


def op_heard(family, round, seconds):
    seen = STATE['captures']['underlay', family].collect(round, seconds)
    listeners = STATE['listeners', family]
    # The listener's thread may be a moment behind the capture's.
    arrived = set(int(index) for index in seen['sizes'])
    end = time.monotonic() + 1
    while arrived - listeners.heard and time.monotonic() < end:
        time.sleep(0.02)
    listeners.closed = True
    return {'arrived': sorted(arrived), 'heard': sorted(listeners.heard)}


def op_clock():
    return {'secondsSinceEpoch': time.time()}


def side_by_side(work, entries):
    """Most of these wait for answers that may never come."""
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(work, entries))


def op_machine(etcd, addresses, dnsServers, ntpServers, peers, diskSeconds):
    def peer(entry):
        family, target = entry['family'], entry['address']
        return {'name': entry['name'], 'small': ping_peer(family, target, 100, 3),
                'full': ping_peer(family, target, entry['mtuBytes'], 5),
                'tcp': connect_peer(family, target, entry['tcpPort']) if entry['tcpPort'] else None}

    asked = {'addresses': (lambda address: duplicate_address(address, 2), addresses),
             'dns': (dns, dnsServers), 'ntp': (ntp, ntpServers), 'peers': (peer, peers)}
    facts = dict(zip(asked, side_by_side(lambda name: side_by_side(*asked[name]), asked)))
    # By itself: what the others use of the CPU and the disk is not to be measured.
    facts.update(steal=steal_percent(3), etcd=None)
    if etcd is not None:
        try:
            facts['etcd'] = etcd_disk(etcd['device'], diskSeconds)
        except (Failure, OSError) as error:
            facts['etcd'] = {'error': str(error)}
    return facts


def op_peer_sizes(family, address, sizes):
    return side_by_side(lambda size: ping_peer(family, address, size, 3), sizes)


def answer(request):
    try:
        result = globals()['op_' + request['op']](**request.get('args', {}))
        say({'id': request['id'], 'result': result})
    except Failure as error:
        say({'id': request['id'], 'error': str(error)})
    except Exception as error:
        say({'id': request['id'], 'error': '%s: %s' % (type(error).__name__, error)})


def heartbeat():
    # Where a relay such as sudo sits between us and the connection, only a write that fails tells that it is gone.
    while True:
        try:
            say({'alive': True})
        except OSError:
            os._exit(1)
        time.sleep(2)


def serve(swept):
    control = os.fdopen(os.open(DIR + '/ctl', os.O_RDWR), 'r', buffering=1)
    say({'ready': True, 'swept': swept})
    daemon(heartbeat)
    while True:
        request = json.loads(control.readline())
        if request['op'] == 'quit':
            return
        daemon(answer, request)


start(serve)
`;
