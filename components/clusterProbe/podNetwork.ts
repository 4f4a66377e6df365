/**
 * Into the network of a pod, as Python: the process of a node sees the network and asks the resolver that the pod's
 * containers have, whatever image these run. Everything else of the node stays as it is: what is mounted here is seen by
 * this process alone and gone with it.
 */
export const podNetwork = String.raw`
CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
libc = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise SystemExit('%s: %s' % (name, os.strerror(number)))


def crictl(request, command, *arguments):
    # It takes options behind an argument for more arguments.
    line = [request['crictl'], command, '-o', 'json', *arguments]
    done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=request['crictlSeconds'])
    if done.returncode != 0:
        raise SystemExit('crictl: ' + (done.stderr.decode().strip().splitlines() or ['no reason given'])[-1])
    return json.loads(done.stdout.decode())


def sandbox(request):
    """Process that holds the namespaces of the pod. crictl takes names for patterns."""
    wanted = {'namespace': request['namespace'], 'name': request['pod']}
    known = crictl(request, 'pods', '--state', 'ready', '--namespace', wanted['namespace'], '--name', wanted['name'])
    for each in known['items']:
        if {key: each['metadata'][key] for key in wanted} == wanted:
            return crictl(request, 'inspectp', each['id'])['info']['pid']
    raise SystemExit('containerd has no pod %(namespace)s/%(name)s' % wanted)


def enter(pid):
    resolver = open('/proc/%d/root/etc/resolv.conf' % pid).read()
    network = os.open('/proc/%d/ns/net' % pid, os.O_RDONLY)
    call('unshare', CLONE_NEWNS)
    call('mount', b'none', b'/', None, MS_REC | MS_PRIVATE, None)
    call('setns', network, CLONE_NEWNET)
    os.close(network)
    call('mount', b'none', b'/tmp', b'tmpfs', 0, None)
    # Names as in a container: by files and questions over the network, and by no daemon of the node.
    texts = {'/etc/resolv.conf': resolver, '/etc/hosts': '127.0.0.1 localhost\n::1 localhost\n',
             '/etc/nsswitch.conf': 'hosts: files dns\n'}
    for path, text in texts.items():
        if os.path.exists(path):
            mine = '/tmp/' + os.path.basename(path)
            with open(mine, 'w') as file:
                file.write(text)
            call('mount', mine.encode(), os.path.realpath(path).encode(), None, MS_BIND, None)
    if os.path.isdir('/run/nscd'):
        os.mkdir('/tmp/nscd')
        call('mount', b'/tmp/nscd', b'/run/nscd', None, MS_BIND, None)
`;
