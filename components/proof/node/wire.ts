/**
 * Packets of exact sizes and their count at the receiver.
 *
 * The receiver counts with a packet socket (AF_PACKET) and not with a listener: it sees what came over the wire before
 * any filter, reassembly or delivery of the node, it sees fragments as fragments, and it needs no tcpdump or nft on the
 * node. It is bound to the protocol of one family, so it sees arriving packets only.
 *
 * Every probe packet carries the token of its run, the number of its round, its own size and its kind. The last packets
 * of a round are small fences: when one has arrived, everything that was sent before it has arrived or is lost, and
 * nobody has to wait for a time.
 */
export const nodeWire = String.raw`
ROOT = os.open('/proc/self/ns/net', os.O_RDONLY)
ETH_P = {'ipv4': 0x0800, 'ipv6': 0x86DD}
HEADERS = {'ipv4': 28, 'ipv6': 48}
PROBE, FENCE = 0, 1
SO_RCVBUFFORCE = 33


def setns(fd):
    if LIBC.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), 'setns')


class inside:
    """Sockets made and commands started here belong to the namespace; it concerns the calling thread alone."""

    def __init__(self, ns):
        self.ns = ns

    def __enter__(self):
        if self.ns is not None:
            setns(self.ns)

    def __exit__(self, *_):
        if self.ns is not None:
            setns(ROOT)


def new_namespace():
    if LIBC.unshare(CLONE_NEWNET) != 0:
        raise Failure('the kernel gives no new network namespace: ' + os.strerror(ctypes.get_errno()))
    fd = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
    setns(ROOT)
    return fd


def daemon(work, *args):
    threading.Thread(target=work, args=args, daemon=True).start()


class Capture:
    def __init__(self, device, ns, family, token, peer):
        self.family, self.token = family, token
        self.peer = socket.inet_pton(inet(family), peer)
        self.rounds, self.changed = {}, threading.Condition()
        self.fragments = 0
        with inside(ns):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
            self.socket.bind((device, ETH_P[family]))
        daemon(self.run)

    def run(self):
        while True:
            packet, where = self.socket.recvfrom(512)
            if where[2] == 4 or len(packet) < 40:  # PACKET_OUTGOING
                continue
            if self.family == 'ipv4':
                length = struct.unpack('!H', packet[2:4])[0]
                flags = struct.unpack('!H', packet[6:8])[0]
                source, dont_fragment, fragment = packet[12:16], bool(flags & 0x4000), bool(flags & 0x3FFF)
            else:
                length = 40 + struct.unpack('!H', packet[4:6])[0]
                source, dont_fragment, fragment = packet[8:24], True, packet[6] == 44
            at = packet.find(self.token)
            with self.changed:
                if fragment:
                    self.fragments += source == self.peer
                elif at >= 0 and len(packet) >= at + 15:
                    number, size, kind = struct.unpack('!IHB', packet[at + 8:at + 15])
                    seen = self.rounds.setdefault(number, {'fence': False, 'sizes': {}})
                    if kind == FENCE:
                        seen['fence'] = True
                    else:
                        entry = seen['sizes'].setdefault(size, {'count': 0, 'ipBytes': 0, 'dontFragment': True})
                        entry['count'] += 1
                        entry['ipBytes'] = max(entry['ipBytes'], length)
                        entry['dontFragment'] = entry['dontFragment'] and dont_fragment
                self.changed.notify_all()

    def collect(self, number, seconds):
        with self.changed:
            self.changed.wait_for(lambda: self.rounds.get(number, {}).get('fence', False), seconds)
            seen = self.rounds.pop(number, {'fence': False, 'sizes': {}})
            fragments, self.fragments = self.fragments, 0
            return dict(seen, fragments=fragments)


def udp(ns, family, address, port=0):
    with inside(ns):
        made = socket.socket(inet(family), socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((address, port))
    return made


def payload(token, number, size, kind):
    return token + struct.pack('!IHB', number, size, kind)


def send_sizes(ns, family, source, target, port, token, number, sizes, copies):
    """Sends each size several times, then fences. Returns the sizes that the sender's own stack refused, and why."""
    made = udp(ns, family, source)
    dont_fragment(made, family)
    refused = {}
    for _ in range(copies):
        for size in sizes:
            text = payload(token, number, size, PROBE)
            try:
                made.sendto(text.ljust(size - HEADERS[family], b'\0'), (target, port))
            except OSError as error:
                refused[str(size)] = errno.errorcode.get(error.errno, str(error.errno))
            # Devices of emulated machines have short rings: a burst would be lost there and not on the path.
            time.sleep(0.001)
    for _ in range(3):
        try:
            made.sendto(payload(token, number, 0, FENCE), (target, port))
        except OSError as error:
            refused['fence'] = errno.errorcode.get(error.errno, str(error.errno))
    made.close()
    return {'refused': refused}


def echo(ns, family, address, port, token, seen):
    """Answers the datagrams of our run, each once."""
    made = udp(ns, family, address, port)
    while True:
        text, sender = made.recvfrom(2048)
        if text.startswith(token):
            seen[0] += 1
            made.sendto(text, sender)


def round_trips(family, source, target, port, token, count, gap_seconds):
    made = udp(None, family, source)
    sent, times, done = {}, {}, threading.Event()

    def receive():
        while not done.is_set():
            readable, _, _ = select.select([made], [], [], 0.2)
            if readable:
                text = made.recv(2048)
                index = struct.unpack('!I', text[8:12])[0]
                if text.startswith(token) and index in sent and index not in times:
                    times[index] = (time.perf_counter() - sent[index]) * 1000
                if len(times) == count:
                    done.set()

    reader = threading.Thread(target=receive, daemon=True)
    reader.start()
    for index in range(count):
        sent[index] = time.perf_counter()
        try:
            made.sendto(payload(token, index, 0, PROBE).ljust(56, b'\0'), (target, port))
        except OSError:
            pass
        time.sleep(gap_seconds)
    done.wait(3)
    done.set()
    reader.join()
    made.close()
    values = list(times.values())
    mean = sum(values) / len(values) if values else 0
    deviation = sum(abs(value - mean) for value in values) / len(values) if values else 0
    return {'sent': count, 'answered': len(values), 'meanMilliseconds': mean, 'deviationMilliseconds': deviation,
            'maxMilliseconds': max(values, default=0)}


def tcp_serve(ns, family, address, port):
    """Reads all that a connection sends and answers with the number of bytes."""
    with inside(ns):
        made = socket.socket(inet(family), socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((address, port))
    made.listen(4)

    def serve(connection):
        total = 0
        while True:
            data = connection.recv(1 << 18)
            if not data:
                break
            total += len(data)
        connection.sendall(struct.pack('!Q', total))
        connection.close()

    def accept():
        while True:
            daemon(serve, made.accept()[0])

    daemon(accept)


def tcp_transfer(ns, family, target, port, total, seconds):
    with inside(ns):
        made = socket.socket(inet(family), socket.SOCK_STREAM)
    begin = time.perf_counter()
    left, block, arrived, error = total, b'\0' * 65536, 0, None
    try:
        made.settimeout(seconds)
        made.connect((target, port))
        while left > 0:
            made.settimeout(max(seconds - (time.perf_counter() - begin), 0.01))
            left -= made.send(block[:min(left, len(block))])
        made.shutdown(socket.SHUT_WR)
        made.settimeout(max(seconds - (time.perf_counter() - begin), 0.01))
        answer = made.recv(8)
        arrived = struct.unpack('!Q', answer)[0] if len(answer) == 8 else 0
    except OSError as problem:
        error = 'timed out' if isinstance(problem, socket.timeout) else os.strerror(problem.errno or 0)
    took = time.perf_counter() - begin
    try:
        # struct tcp_info of linux/tcp.h: tcpi_total_retrans is the u32 at offset 100.
        retransmits = struct.unpack('=I', made.getsockopt(socket.IPPROTO_TCP, 11, 104)[100:104])[0]
    except (OSError, struct.error):
        retransmits = None
    made.close()
    return {'bytes': arrived, 'seconds': took, 'retransmits': retransmits, 'error': error}
`;
