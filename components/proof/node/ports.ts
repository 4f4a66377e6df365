/**
 * Ports and IP protocols of the plan between two nodes.
 *
 * The receiver listens where nobody does yet; a port that is in use is proved by the service that has it. A listener
 * hears what passed the node's own filter and the capture what arrived at the node: the difference says who drops it.
 * VRRP goes to one address and not to its multicast group: a router of the site on that group must not hear of it.
 */
export const nodePorts = String.raw`
class Listeners:
    def __init__(self, family, address, ports, token):
        self.token, self.heard, self.sockets, self.state = token, set(), {}, []
        for index, port in enumerate(ports):
            kinds = {'tcp': (socket.SOCK_STREAM, 0), 'udp': (socket.SOCK_DGRAM, 0), 'ip': (socket.SOCK_RAW, port['number'])}
            made = socket.socket(inet(family), *kinds[port['protocol']])
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                made.bind((address, 0 if port['protocol'] == 'ip' else port['number']))
                if port['protocol'] == 'tcp':
                    made.listen(8)
                else:
                    self.sockets[made.fileno()] = made
                self.state.append('listening')
            except OSError as error:
                # Another address of the node may hold the port too; what counts is that somebody answers.
                self.state.append('in use' if error.errno == errno.EADDRINUSE else os.strerror(error.errno))
                made.close()
                continue
            self.sockets.setdefault(made.fileno(), made)
        self.closed = False
        daemon(self.run)

    def run(self):
        while not self.closed:
            readable, _, _ = select.select(list(self.sockets.values()), [], [], 0.2)
            for made in readable:
                if made.type == socket.SOCK_STREAM:
                    made.accept()[0].close()
                    continue
                text = made.recv(2048)
                at = text.find(self.token)
                if at >= 0 and len(text) >= at + 15:
                    self.heard.add(struct.unpack('!H', text[at + 12:at + 14])[0])
        for made in self.sockets.values():
            made.close()


def inner_packet(token_payload):
    """A whole IPv4 packet (UDP, benchmark addresses): filters look into protocol 4."""
    length = 28 + len(token_payload)
    head = struct.pack('!BBHHHBBH4s4s', 0x45, 0, length, 0, 0x4000, 64, 17, 0,
                       socket.inet_aton('198.19.255.253'), socket.inet_aton('198.19.255.254'))
    total = sum(struct.unpack('!10H', head))
    total = (total & 0xFFFF) + (total >> 16)
    head = head[:10] + struct.pack('!H', 0xFFFF - ((total & 0xFFFF) + (total >> 16))) + head[12:]
    return head + struct.pack('!HHHH', 9, 9, 8 + len(token_payload), 0) + token_payload


def try_ports(family, source, target, ports, fence_port, token, number, seconds):
    results = [None] * len(ports)

    def tcp(index, port):
        made = socket.socket(inet(family), socket.SOCK_STREAM)
        made.settimeout(seconds)
        begin = time.perf_counter()
        try:
            made.bind((source, 0))
            made.connect((target, port['number']))
            results[index] = {'answer': 'open', 'milliseconds': (time.perf_counter() - begin) * 1000}
        except ConnectionRefusedError:
            results[index] = {'answer': 'refused'}
        except OSError as error:
            silent = isinstance(error, socket.timeout)
            results[index] = {'answer': 'silent' if silent else os.strerror(error.errno or 0)}
        made.close()

    def datagram(index, port):
        text = payload(token, number, index, PROBE)
        try:
            if port['protocol'] == 'udp':
                made, target_port = udp(None, family, source), port['number']
            else:
                made, target_port = socket.socket(inet(family), socket.SOCK_RAW, port['number']), 0
                made.bind((source, 0))
            if port['protocol'] == 'ip' and port['number'] == 4:
                text = inner_packet(text)
            elif port['protocol'] == 'ip' and port['number'] == 112:
                # VRRP (RFC 9568): version 3, advertisement, of no router; receivers drop another TTL than 255.
                text = b'\x31\x00\x00\x00\x00\x64\x00\x00' + text
                if family == 'ipv4':
                    made.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
                else:
                    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 255)
            for _ in range(5):
                made.sendto(text, (target, target_port))
                time.sleep(0.002)
            made.close()
            results[index] = {'answer': 'sent'}
        except OSError as error:
            results[index] = {'answer': os.strerror(error.errno or 0)}

    threads = [threading.Thread(target=tcp if port['protocol'] == 'tcp' else datagram, args=(index, port))
               for index, port in enumerate(ports)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = udp(None, family, source)
    for _ in range(3):
        made.sendto(payload(token, number, 0, FENCE), (target, fence_port))
    made.close()
    return results
`;
