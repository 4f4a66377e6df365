/**
 * What one node knows of its part in the cluster, as one Python 3 program on stdin: it reads and changes nothing. Its
 * argument is the request, its output one line of JSON. Text that is understood here is parsed by parse.ts.
 */
export const nodeFactsProgram = String.raw`
import json, subprocess, sys, urllib.request
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


NAMES = ('etcd_disk_wal_fsync_duration_seconds', 'etcd_server_has_leader', 'etcd_mvcc_db_total_size_in_bytes',
         'etcd_server_quota_backend_bytes')
answer = {}
if request['part'] == 'machine':
    answer = {'proxyMode': fetch('http://%s/proxyMode' % request['metricsAddress']), 'services': services(),
              'conntrackMax': int(read('/proc/sys/net/netfilter/nf_conntrack_max') or 0),
              'conntrackCount': int(read('/proc/sys/net/netfilter/nf_conntrack_count') or 0)}
else:
    answer = fetch(request['url'])
    if 'text' in answer:
        answer['text'] = '\n'.join(line for line in answer['text'].splitlines() if line.startswith(NAMES))
print(json.dumps(answer))
`;
