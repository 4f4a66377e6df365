/** Of calico-node, one for each family. */
export const BIRD_SOCKETS = ['/var/run/calico/bird.ctl', '/var/run/calico/bird6.ctl'];

/**
 * What a node knows of Calico's part of its network, as one Python 3 program on stdin: it reads and changes nothing. Its
 * argument is the request, its output one line of JSON. Private keys of WireGuard are not asked for.
 */
export const calicoNodeProgram = String.raw`
import json, os, socket, subprocess, sys, time
request = json.loads(sys.argv[1])


def ask(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.stdout if done.returncode == 0 else ''


def ip(*arguments):
    return json.loads(ask('ip', '-j', *arguments) or '[]')


def pod_end(link, names):
    """MTU of the other end, by the name that its network namespace has on the node."""
    name = names.get(link.get('link_netnsid'))
    for peer in ip('-n', name, 'link', 'show') if name else []:
        if peer['ifindex'] == link.get('link_index'):
            return peer['mtu']
    return None


def routes():
    found = []
    for family in ('-4', '-6'):
        # WireGuard has a table of its own, which comes before the main one.
        for route in ip(family, 'route', 'show', 'table', 'all'):
            if '/' in route.get('dst', '') and 'dev' in route:
                found.append({'cidr': route['dst'], 'device': route['dev']})
    return found


def wireguard():
    names = [name for name in request['wireguard'] if os.path.exists('/sys/class/net/' + name)]
    if not names:
        return None
    now, found = time.time(), []
    for name in names:
        for line in ask('wg', 'show', name, 'latest-handshakes').splitlines():
            last = int(line.split()[1])
            found.append(max(now - last, 0) if last else None)
    return found


def bird(path):
    """Its control socket speaks lines; the last one of an answer has a code, and no dash behind it."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.settimeout(30)
    try:
        made.connect(path)
        lines = made.makefile('rw')
        lines.readline()
        lines.write('show protocols all\n')
        lines.flush()
        text = ''
        for line in lines:
            if line[:4].isdigit() and line[4:5] == ' ':
                break
            # Of some twenty lines a session, those that tell whether it is there.
            if line[:5] == '1002-' or line.strip().startswith(('BGP state:', 'Neighbor address:', 'Last error:')):
                text += line
        return text
    except OSError:
        # Left behind by one that has ended: it has no session.
        return ''
    finally:
        made.close()


def birds():
    found = [bird(path) for path in request['birds'] if os.path.exists(path)]
    return ''.join(found) if found else None


links = ip('link', 'show')
names = {entry['nsid']: entry.get('name') for entry in ip('netns', 'list-id')}
print(json.dumps({
    'devices': {link['ifname']: link['mtu'] for link in links if link['ifname'] in request['devices']},
    'links': [{'device': link['ifname'], 'mtuBytes': link['mtu'], 'podMtuBytes': pod_end(link, names)}
              for link in links if link['ifname'].startswith('cali')],
    'routes': routes(),
    'wireguardPeers': wireguard(), 'birds': birds()}))
`;
