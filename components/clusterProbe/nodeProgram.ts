import { nodeEcho } from '../proof/node/echo';

/**
 * What one node knows of its part in the cluster, as one Python 3 program on stdin: it reads and changes nothing. Its
 * argument is the request, its output one line of JSON. Text that is understood here is parsed by parse.ts.
 */
export const nodeFactsProgram =
  String.raw`
import errno, http.client, json, os, socket, struct, subprocess, sys, time, urllib.request
HEADERS = {'ipv4': 28, 'ipv6': 48}
` +
  nodeEcho +
  String.raw`
request = json.loads(sys.argv[1])
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(url):
    try:
        return {'text': opener.open(url, timeout=30).read().decode()}
    except Exception as error:
        return {'error': str(error)}


def read(path):
    try:
        return open(path).read()
    except OSError as error:
        return None


def rules(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        return {'error': command[0] + ' is not installed on the node'}
    return {'text': done.stdout} if done.returncode == 0 else {'error': done.stderr.strip()}


def services():
    if request['mode'] == 'ipvs':
        text = read('/proc/net/ip_vs')
        return {'error': 'the module ip_vs is not loaded'} if text is None else {'text': text}
    found = []
    for family in request['families']:
        table = ['kube-proxy'] if request['mode'] == 'nftables' else ['nat']
        answer = rules(['nft', 'list', 'table', 'ip' if family == 'ipv4' else 'ip6'] + table)
        if 'error' in answer:
            return answer
        # Of thousands of rules those about the Services that were asked for.
        found += [line for line in answer['text'].splitlines() if any(address in line for address in request['addresses'])]
    return {'text': '\n'.join(found)}


def ways(targets):
    """Echo requests with DF from machine to machine, below everything that belongs to pods."""
    found = []
    for each in targets:
        full = ping_peer(each['family'], each['address'], each['bytes'], 5)
        found.append(largest(each['family'], each['address'], each['bytes'], full))
    return found


def web(ask):
    """Of a host that nobody has: the answer is the controller's own, whatever the site's Ingresses are."""
    family = 'ipv6' if ':' in ask['address'] else 'ipv4'
    status, error = None, None
    connection = http.client.HTTPConnection(ask['address'], 80, timeout=20)
    try:
        connection.request('GET', '/', headers={'Host': 'nobody.sitewright.invalid'})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as problem:
        error = str(problem) or type(problem).__name__
    finally:
        connection.close()
    return {'status': status, 'error': error, 'tlsError': connect_peer(family, ask['address'], 443)['error']}


NAMES = ('etcd_disk_wal_fsync_duration_seconds', 'etcd_server_has_leader', 'etcd_mvcc_db_total_size_in_bytes',
         'etcd_server_quota_backend_bytes')
answer = {}
if request['part'] == 'machine':
    answer = {'proxyMode': fetch('http://%s/proxyMode' % request['metricsAddress']), 'services': services(),
              'conntrackMax': int(read('/proc/sys/net/netfilter/nf_conntrack_max') or 0),
              'conntrackCount': int(read('/proc/sys/net/netfilter/nf_conntrack_count') or 0),
              # Those that a process may run on are what kube-proxy counts.
              'cpus': len(os.sched_getaffinity(0))}
elif request['part'] == 'ways':
    answer = ways(request['targets'])
elif request['part'] == 'ingress':
    answer = [web(ask) for ask in request['asks']]
else:
    answer = fetch(request['url'])
    if 'text' in answer:
        answer['text'] = '\n'.join(line for line in answer['text'].splitlines() if line.startswith(NAMES))
print(json.dumps(answer))
`;
