/**
 * Echo requests and connections to a host that runs nothing of the kit: from nodes, and from pods of a cluster. Whoever
 * uses it has imported errno, os, socket, struct and time, and has `HEADERS`, the bytes before the payload by family.
 */
export const nodeEcho = String.raw`
def inet(family):
    return socket.AF_INET if family == 'ipv4' else socket.AF_INET6


def dont_fragment(made, family):
    # "probe": DF is set and what the kernel believes of the path is not asked; the device's own MTU still refuses.
    if family == 'ipv4':
        made.setsockopt(socket.IPPROTO_IP, 10, 3)  # IP_MTU_DISCOVER, IP_PMTUDISC_PROBE
    else:
        made.setsockopt(socket.IPPROTO_IPV6, 23, 3)  # IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE
        made.setsockopt(socket.IPPROTO_IPV6, 62, 1)  # IPV6_DONTFRAG


def ping_peer(family, target, size, count):
    """Echo requests with DF; the reply has the same size, so one answer proves both ways."""
    protocol = socket.IPPROTO_ICMP if family == 'ipv4' else socket.IPPROTO_ICMPV6
    made = socket.socket(inet(family), socket.SOCK_RAW, protocol)
    dont_fragment(made, family)
    made.settimeout(1)
    mark, times, refused = os.urandom(8), [], None
    kind = b'\x08' if family == 'ipv4' else b'\x80'
    for index in range(count):
        body = mark + struct.pack('!I', index)
        text = kind + b'\0\0\0' + struct.pack('!HH', os.getpid() & 0xFFFF, index) + body.ljust(size - HEADERS[family], b'\0')
        if family == 'ipv4':
            padded = text + b'\0' * (len(text) % 2)
            total = sum(struct.unpack('!%dH' % (len(padded) // 2), padded))
            while total >> 16:
                total = (total & 0xFFFF) + (total >> 16)
            text = text[:2] + struct.pack('!H', 0xFFFF - total) + text[4:]
        begin = time.perf_counter()
        try:
            made.sendto(text, (target, 0))
            while True:
                made.settimeout(max(1 - (time.perf_counter() - begin), 0.01))
                reply = made.recv(70000)
                start = (reply[0] & 15) * 4 if family == 'ipv4' else 0
                if reply[start] in (0, 129) and body in reply:
                    times.append((time.perf_counter() - begin) * 1000)
                    break
        except OSError as error:
            if not isinstance(error, socket.timeout):
                refused = errno.errorcode.get(error.errno, str(error.errno))
    made.close()
    return {'sizeBytes': size, 'answered': len(times), 'sent': count, 'refused': refused,
            'milliseconds': sum(times) / len(times) if times else None}


def largest(family, address, wanted, full):
    """Largest size that is answered, by halves; None where not even a small packet is."""
    if full['answered'] > 0:
        return wanted
    passes, fails = 100, wanted
    if ping_peer(family, address, passes, 3)['answered'] == 0:
        return None
    while fails - passes > 1:
        size = (passes + fails) // 2
        if ping_peer(family, address, size, 2)['answered'] > 0:
            passes = size
        else:
            fails = size
    return passes


def connect_peer(family, target, port):
    made = socket.socket(inet(family), socket.SOCK_STREAM)
    made.settimeout(5)
    begin = time.perf_counter()
    try:
        made.connect((target, port))
        return {'error': None, 'milliseconds': (time.perf_counter() - begin) * 1000}
    except OSError as error:
        return {'error': 'no answer' if isinstance(error, socket.timeout) else os.strerror(error.errno or 0)}
    finally:
        made.close()
`;
