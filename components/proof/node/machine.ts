/** What one node says about itself and about the services it needs: disk, CPU steal, clock, names, time, its addresses. */
export const nodeMachine = String.raw`
NTP_EPOCH = 2208988800


def cpu_times():
    fields = [int(value) for value in open('/proc/stat').readline().split()[1:9]]
    return sum(fields), fields[7]


def steal_percent(seconds):
    """Over a window: the counters since boot would hide what happens now."""
    total, steal = cpu_times()
    time.sleep(seconds)
    total_after, steal_after = cpu_times()
    return {'percent': 100 * (steal_after - steal) / max(total_after - total, 1), 'windowSeconds': seconds}


def sync_times_of_file(target, blank_device, seconds):
    """Milliseconds of each fdatasync after 2300 bytes, as etcd's own recommendation for fio measures it."""
    times, block = [], b'\0' * 2300
    fd = os.open(target, os.O_WRONLY | (0 if blank_device else os.O_CREAT | os.O_TRUNC), 0o600)
    end = time.monotonic() + seconds
    while time.monotonic() < end and len(times) < 5000:
        os.write(fd, block)
        begin = time.perf_counter()
        os.fdatasync(fd)
        times.append((time.perf_counter() - begin) * 1000)
    os.close(fd)
    return times


def fio_p99(target, blank_device, seconds):
    done = json.loads(command('fio', '--name=swp', '--filename=' + target, '--rw=write', '--ioengine=sync', '--fdatasync=1',
                              '--bs=2300', '--size=22m', '--zero_buffers', '--runtime=%d' % seconds, '--output-format=json'))
    sync = done['jobs'][0]['sync']
    return {'tool': 'fio', 'count': sync['lat_ns']['N'],
            'p99Milliseconds': sync['lat_ns']['percentile']['99.000000'] / 1e6}


def etcd_disk(device, seconds):
    """
    Where etcd will write: the mount of its disk, else the blank disk itself (only zeros are written to it, so that it
    stays blank), else the disk of /var/lib. Never beside an etcd that runs: its own metrics say more, and it would suffer.
    """
    if os.path.isdir('/var/lib/etcd/member'):
        return {'skipped': 'etcd keeps data on this node already'}
    target, blank = '/var/lib', False
    if device is not None:
        real = os.path.realpath(device)
        if not os.path.exists(real):
            raise Failure('the etcd disk %s is not there' % device)
        tree = json.loads(command('lsblk', '-J', '-o', 'PATH,FSTYPE,PTTYPE,MOUNTPOINT', real))['blockdevices'][0]
        mounts = [part['mountpoint'] for part in [tree] + tree.get('children', []) if part.get('mountpoint')]
        blank = not mounts and not tree.get('children') and not tree.get('fstype') and not tree.get('pttype')
        if not mounts and not blank:
            return {'skipped': '%s holds data and is not mounted' % device}
        target = mounts[0] if mounts else real
    file = target if blank else target + '/swp-%s-disk' % RUN
    if not blank:
        undo_later('rm', '-f', file)
    try:
        if shutil.which('fio'):
            measured = fio_p99(file, blank, seconds)
        else:
            times = sorted(sync_times_of_file(file, blank, seconds))
            measured = {'tool': 'fdatasync', 'count': len(times), 'p99Milliseconds': times[int(len(times) * 0.99)]}
    finally:
        if not blank:
            command('rm', '-f', file)
    return dict(measured, target=target)


def ask_udp(server, port, request, seconds):
    family, _, _, _, address = socket.getaddrinfo(server, port, type=socket.SOCK_DGRAM)[0]
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.settimeout(seconds)
    error = None
    for _ in range(3):
        try:
            sent = time.time()
            made.sendto(request, address)
            return made.recv(2048), sent, time.time()
        except OSError as problem:
            error = 'no answer' if isinstance(problem, socket.timeout) else os.strerror(problem.errno or 0)
    raise Failure(error)


def ntp(server):
    """Offset of this node's clock from the server's, RFC 5905: ((T2 - T1) + (T3 - T4)) / 2."""
    try:
        answer, sent, received = ask_udp(server, 123, b'\x23' + 47 * b'\0', 2)
        stratum, = struct.unpack('!B', answer[1:2])
        arrival, reply = (whole - NTP_EPOCH + part / 2**32 for whole, part in
                          (struct.unpack('!II', answer[32:40]), struct.unpack('!II', answer[40:48])))
        if stratum == 0 or stratum > 15:
            return {'server': server, 'error': 'answers, but has no time itself (stratum %d)' % stratum}
        offset = ((arrival - sent) + (reply - received)) / 2
        return {'server': server, 'error': None, 'offsetMilliseconds': -1000 * offset}
    except (Failure, OSError, struct.error) as error:
        return {'server': server, 'error': str(error) or 'no answer'}


def dns(server):
    """Any answer proves the way to the server; what it resolves is the site's own affair, refusing us is not."""
    query = struct.pack('!HHHHHH', os.getpid() & 0xFFFF, 0x0100, 1, 0, 0, 0) + b'\0' + struct.pack('!HH', 2, 1)
    try:
        answer, sent, received = ask_udp(server, 53, query, 3)
        refused = answer[3] & 15 == 5
        return {'server': server, 'error': 'refuses to answer this node' if refused else None,
                'milliseconds': (received - sent) * 1000}
    except (Failure, OSError, IndexError) as error:
        return {'server': server, 'error': str(error) or 'no answer'}


def duplicate_address(address, seconds):
    """IPv4: address conflict detection of RFC 5227. IPv6: what the kernel's own detection found."""
    device = device_of(address)
    if ':' in address:
        for link in json.loads(command('ip', '-6', '-j', 'address', 'show', 'dev', device)):
            for info in link.get('addr_info', []):
                if info.get('local') == address and info.get('dadfailed'):
                    return {'address': address, 'owners': ['another host (duplicate address detection failed)']}
        return {'address': address, 'owners': []}
    own = open('/sys/class/net/%s/address' % device).read().strip()
    mac = bytes.fromhex(own.replace(':', ''))
    if len(mac) != 6:
        return {'address': address, 'owners': []}
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
    made.bind((device, 0x0806))
    request = (b'\xff' * 6 + mac + b'\x08\x06' + struct.pack('!HHBBH', 1, 0x0800, 6, 4, 1) + mac + b'\0' * 10
               + socket.inet_aton(address))
    owners, end = set(), time.monotonic() + seconds
    made.settimeout(0.3)
    while time.monotonic() < end:
        made.send(request)
        try:
            reply = made.recv(64)
        except OSError:
            continue
        if reply[20:22] == b'\0\2' and reply[28:32] == socket.inet_aton(address) and reply[22:28] != mac:
            owners.add(reply[22:28].hex(':'))
    made.close()
    return {'address': address, 'owners': sorted(owners)}
`;
