import { nodeEcho } from '../proof/node/echo';
import { podNetwork } from './podNetwork';

const HEAD = String.raw`import concurrent.futures, ctypes, errno, fcntl, json, os, socket, struct, subprocess, sys, threading, time
HEADERS = {'ipv4': 28, 'ipv6': 48}
TCP_INFO = 11
SIOCGIFMTU = 0x8921
LINK = 'eth0'
`;

const BODY = String.raw`

def step(text):
    print('step: ' + text, file=sys.stderr, flush=True)


def tcp_facts(connection):
    """linux/tcp.h, struct tcp_info: eight bytes, then words; the segments with payload are its 40th word."""
    info = connection.getsockopt(socket.IPPROTO_TCP, TCP_INFO, 192)
    word = lambda offset: struct.unpack_from('=I', info, offset)[0]
    return {'pathMtuBytes': word(60), 'segmentBytes': word(16), 'segments': word(156), 'retransmits': word(100)}


def read_line(connection):
    line = b''
    while not line.endswith(b'\n'):
        byte = connection.recv(1)
        if not byte:
            raise OSError(errno.ECONNRESET, 'closed')
        line += byte
    return line.decode().strip()


def read_bytes(connection, count, end):
    while count > 0:
        connection.settimeout(max(end - time.monotonic(), 0.01))
        piece = connection.recv(min(count, 65536))
        if not piece:
            raise OSError(errno.ECONNRESET, 'closed')
        count -= len(piece)


def answer(connection, node):
    """Says whose pod it is; whoever then names a number of bytes sends them and gets as many back."""
    try:
        connection.settimeout(60)
        connection.sendall((node + '\n').encode())
        count = int(read_line(connection))
        read_bytes(connection, count, time.monotonic() + 300)
        connection.settimeout(300)
        connection.sendall(b'\0' * count)
        read_line(connection)
        connection.sendall((json.dumps(tcp_facts(connection)) + '\n').encode())
    except (OSError, ValueError):
        pass
    finally:
        connection.close()


def listen(family, port):
    made = socket.socket(inet(family), socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == 'ipv6':
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    made.bind(('::' if family == 'ipv6' else '0.0.0.0', port))
    made.listen(128)
    return made


def accept(listener, node):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection, node), daemon=True).start()


def link_is_there():
    try:
        return socket.if_nametoindex(LINK) > 0
    except OSError:
        return False


def serve(request):
    """Until the pod goes, and its link with it: whoever started this may be gone before."""
    for listener in [listen(family, request['port']) for family in request['families']]:
        threading.Thread(target=accept, args=(listener, request['node']), daemon=True).start()
    print('listening', flush=True)
    end = time.monotonic() + request['seconds']
    while link_is_there() and time.monotonic() < end:
        time.sleep(1)
    # Threads that still wait for a client hold no one up.
    os._exit(0)


def link_mtu():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, SIOCGIFMTU, struct.pack('16s16x', LINK.encode()))
    return struct.unpack_from('=i', answer, 16)[0]


def reason(error):
    if isinstance(error, socket.timeout):
        return 'no answer'
    return os.strerror(error.errno) if error.errno else str(error)


def size_facts(other, family, mtu):
    address = other['addresses'][family]
    full = ping_peer(family, address, mtu, 5)
    return {'node': other['node'], 'family': family, 'full': full, 'above': ping_peer(family, address, mtu + 1, 1),
            'largestBytes': largest(family, address, mtu, full)}


def connect(family, address, port, seconds):
    made = socket.socket(inet(family), socket.SOCK_STREAM)
    made.settimeout(seconds)
    try:
        made.connect((address, port))
        return made, read_line(made)
    except OSError:
        made.close()
        raise


def transfer(connection, node, count, seconds):
    begin = time.monotonic()
    try:
        connection.settimeout(seconds)
        connection.sendall(('%d\n' % count).encode() + b'\0' * count)
        read_bytes(connection, count, begin + seconds)
        up = tcp_facts(connection)
        took = time.monotonic() - begin
        connection.sendall(b'\n')
        connection.settimeout(seconds)
        down = json.loads(read_line(connection))
        return {'node': node, 'bytes': count, 'seconds': took, 'error': None, 'up': up, 'down': down}
    except OSError as error:
        return {'node': node, 'bytes': count, 'seconds': time.monotonic() - begin, 'error': reason(error)}


def service_facts(family, service, request):
    """Connects until every pod has answered, and at least as often as the request says."""
    reached, failed, slowest, moved = {}, {}, 0, None
    address, end, tries = service['addresses'][family], time.monotonic() + service['seconds'], 0
    while tries < service['tries'] or (len(reached) < service['pods'] and time.monotonic() < end):
        tries += 1
        begin = time.perf_counter()
        try:
            connection, node = connect(family, address, service['port'], service['connectSeconds'])
        except OSError as error:
            # Its rules reach the nodes a moment after the Service is made. In mode ipvs the last of them is the one by
            # which a pod reaches itself, so nothing is held against it before every pod has answered once.
            if len(reached) == service['pods'] or time.monotonic() >= end:
                failed[reason(error)] = failed.get(reason(error), 0) + 1
                if time.monotonic() >= end:
                    break
            else:
                tries -= 1
            time.sleep(0.2)
            continue
        slowest = max(slowest, (time.perf_counter() - begin) * 1000)
        reached[node] = reached.get(node, 0) + 1
        if node != request['node'] and moved is None:
            moved = transfer(connection, node, request['bytes'], request['transferSeconds'])
        connection.close()
    return {'family': family, 'address': address, 'reached': reached, 'failed': failed,
            'slowestMilliseconds': slowest, 'transfer': moved}


def look_up(name, times, errors):
    begin = time.perf_counter()
    try:
        socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        errors.append(error.strerror)
    times.append((time.perf_counter() - begin) * 1000)


def name_facts(name, way, count):
    times, errors = [], []
    if way == 'sequence':
        for _ in range(count):
            look_up(name, times, errors)
    else:
        # As a busy program asks. Any more measure the processors: an emulated machine takes seconds for fifty.
        with concurrent.futures.ThreadPoolExecutor(10) as ten:
            for _ in range(count):
                ten.submit(look_up, name, times, errors)
    times.sort()
    at = lambda share: times[min(int(len(times) * share), len(times) - 1)]
    return {'name': name, 'way': way, 'count': count, 'failed': len(errors), 'error': errors[-1] if errors else None,
            'p50Milliseconds': at(0.5), 'p99Milliseconds': at(0.99), 'maxMilliseconds': times[-1],
            'overOneSecond': sum(1 for time in times if time > 1000)}


def peer_facts(peer):
    family, address, wanted = peer['family'], peer['address'], peer['mtuBytes']
    full = ping_peer(family, address, wanted, 3)
    return {'name': peer['name'], 'small': ping_peer(family, address, 100, 3), 'full': full,
            'largestBytes': largest(family, address, wanted, full),
            'tcp': connect_peer(family, address, peer['tcpPort']) if peer['tcpPort'] else None}


TYPE_NS, TYPE_SOA = 2, 6


def ask(address, name, kind, seconds):
    """One question over UDP, asked again where nothing comes back; with the code of the answer."""
    family = 'ipv6' if ':' in address else 'ipv4'
    labels = b''.join(bytes([len(label)]) + label for label in name.encode().split(b'.') if label)
    question = os.urandom(2) + struct.pack('!5H', 0x0100, 1, 0, 0, 0) + labels + b'\0' + struct.pack('!2H', kind, 1)
    made = socket.socket(inet(family), socket.SOCK_DGRAM)
    try:
        made.connect((address, 53))
        problem = 'no answer'
        for _ in range(3):
            begin = time.perf_counter()
            made.settimeout(seconds)
            try:
                made.send(question)
                answer = made.recv(4096)
                if answer[:2] == question[:2]:
                    return {'error': None, 'code': answer[3] & 15, 'milliseconds': (time.perf_counter() - begin) * 1000}
            except OSError as error:
                problem = reason(error)
        return {'error': problem}
    except OSError as error:
        return {'error': reason(error)}
    finally:
        made.close()


def ask_name_server(address):
    """Any answer proves the way there and back; what it resolves is the site's own affair."""
    answer = ask(address, '', TYPE_NS, 3)
    answer.pop('code', None)
    return dict(answer, address=address)


# That a zone has no such name is an answer of its servers too; without one of them there is another code.
REACHED = {0: 'NOERROR', 3: 'NXDOMAIN'}
NOT_REACHED = {2: 'SERVFAIL', 5: 'REFUSED'}


def ask_zone(zone):
    """As a pod asks, of the resolvers that it has, in turn. CoreDNS itself waits 5 s for the servers of a zone."""
    found = {'error': 'the pod has no resolver'}
    for words in (line.split() for line in open('/etc/resolv.conf')):
        if words[:1] != ['nameserver'] or len(words) < 2:
            continue
        found = ask(words[1], zone, TYPE_SOA, 7)
        code = found.pop('code', 0)
        if found['error'] is None and code not in REACHED:
            found = {'error': NOT_REACHED.get(code, 'answer code %d' % code)}
        if found['error'] is None:
            return dict(found, zone=zone, answer=REACHED[code])
    return dict(found, zone=zone)


def reach(targets):
    """At once: what is dropped on the way takes the whole time limit of a connection."""
    found = [None] * len(targets)

    def one(index, target):
        outcome = connect_peer(target['family'], target['address'], target['port'])
        found[index] = {'name': target['name'], 'family': target['family'], 'error': outcome['error']}
    threads = [threading.Thread(target=one, args=each) for each in enumerate(targets)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def measure(request):
    mtu = link_mtu()
    sizes, services, names, peers, servers = [], [], [], [], []
    for other in request['others']:
        step('packets to the pod of ' + other['node'])
        sizes += [size_facts(other, family, request['mtuBytes']) for family in request['families']]
    for family in request['service']['addresses']:
        step('the Service, ' + family)
        services.append(service_facts(family, request['service'], request))
    for name in request['names']:
        step('name ' + name)
        names += [name_facts(name, way, request['lookups']) for way in ('sequence', 'parallel')]
    zones = []
    for zone in request['zones']:
        step('zone ' + zone)
        zones.append(ask_zone(zone))
    for peer in request['peers']:
        step('peer ' + peer['name'])
        peers.append(peer_facts(peer))
    for address in request['nameServers']:
        step('name server ' + address)
        servers.append(ask_name_server(address))
    step('what policies let through and keep out')
    return {'deviceMtuBytes': mtu, 'sizes': sizes, 'services': services, 'names': names, 'peers': peers,
            'zones': zones, 'nameServers': servers, 'reach': reach(request['reach'])}


def main(request):
    enter(sandbox(request))
    if request['part'] == 'serve':
        serve(request)
    else:
        print(json.dumps(measure(request)))
`;

/**
 * The program of the probe's pods, for Python 3 on the node of each, as root. It finds the pod by crictl, goes into its
 * network, and there either answers the others (`serve`) or measures, with the facts on stdout.
 */
export const podProgram = HEAD + podNetwork + nodeEcho + BODY;

/** What a node runs on stdin; the request goes with the program, because a command line has not room for every size of site. */
export const podScript = (request: object): string =>
  `${podProgram}\n\nmain(json.loads(${JSON.stringify(JSON.stringify(request))}))\n`;
