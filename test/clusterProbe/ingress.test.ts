import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import {
  ingressQuestions,
  judgeIngress,
  planIngressProbe,
  type IngressProbe,
} from '../../components/clusterProbe/ingress';
import { nodeFactsProgram } from '../../components/clusterProbe/nodeProgram';
import { policySite } from '../network/policySites';
import { planOf } from '../plan/site';

const planOfIngress = (ingress: object) => {
  const plan = planOf(
    policySite({ baseline: 'none', everyNamespace: false, namespaces: [] }, { residency: undefined, ingress }),
  );
  return planIngressProbe(plan.cluster!.ingress, plan.nodes);
};

test('every machine with a pod of it is asked by another one, and Ingresses are to report what the plan says', () => {
  const probe = planOfIngress({ address: '192.0.2.80' })!;
  expect(probe).toEqual({
    className: 'nginx',
    targets: [
      { node: 'w1', addresses: ['192.0.1.21'] },
      { node: 'w2', addresses: ['192.0.2.22'] },
    ],
    reported: ['192.0.2.80'],
  });
  expect(planOfIngress({ controller: 'ingress-nginx' })!.reported).toEqual(['192.0.1.21', '192.0.2.22']);
  expect(planIngressProbe(null, [])).toBeNull();
  const asked = ingressQuestions(probe, ['cp1', 'w1', 'w2']);
  expect(asked.flatMap(({ from, asks }) => asks.map(({ node }) => [from, node]))).toEqual([
    ['cp1', 'w1'],
    ['w1', 'w2'],
  ]);
  // A site of one machine has nobody else to ask.
  expect(ingressQuestions({ ...probe, targets: probe.targets.slice(0, 1) }, ['w1'])).toMatchObject([{ from: 'w1' }]);
});

test('no answer, another answer, a closed port and another address are findings', () => {
  const probe: IngressProbe = { className: 'nginx', targets: [], reported: ['192.0.2.80'] };
  const ask = { from: 'cp1', node: 'w1', address: '192.0.1.21', status: 404, error: null, tlsError: null };
  const good = { asks: [ask], ingresses: [{ name: 'shop/web', reported: ['192.0.2.80'] }] };
  expect(judgeIngress(good, probe, 'error')).toEqual([]);
  const bad = {
    asks: [
      { ...ask, status: null, error: 'timed out', tlsError: 'no answer' },
      { ...ask, node: null, status: 200 },
    ],
    ingresses: [{ name: 'shop/web', reported: ['192.0.2.81'] }],
  };
  expect(judgeIngress(bad, probe, 'error').map(({ where, message }) => `${where}: ${message}`)).toEqual([
    'cp1 -> w1: 192.0.1.21:80 does not answer: timed out; look at the pods of the ingress controller and at filters on the way',
    'cp1 -> w1: 192.0.1.21:443 takes no connection: no answer; look at the pods of the ingress controller and at filters on the way',
    'cp1 -> 192.0.1.21: 192.0.1.21:80 answers 200 for a host that no Ingress has, expected: 404; something else may listen there',
    'shop/web: reports 192.0.2.81, planned: 192.0.2.80; the log of the ingress controller says why',
  ]);
});

describe('the program of a node', () => {
  const names = ['a', 'b'].map((side) => `swing${process.pid % 1000}${side}`) as [string, string];
  const ip = (...args: string[]) => execFileSync('ip', args, { encoding: 'utf8' });
  const inside = (name: string, ...command: string[]) => ip('netns', 'exec', name, ...command);
  let web: ChildProcess;
  beforeAll(() => {
    for (const name of names) ip('netns', 'add', name);
    const [a, b] = names;
    ip('link', 'add', 'eth0', 'netns', a, 'mtu', '1500', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', b);
    for (const [index, name] of names.entries()) {
      ip('-n', name, 'address', 'add', `192.0.2.${index + 1}/24`, 'dev', 'eth0');
      for (const device of ['lo', 'eth0']) ip('-n', name, 'link', 'set', device, 'up');
    }
    const server = `
import http.server
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(404 if self.headers['Host'] == 'nobody.sitewright.invalid' else 500)
http.server.HTTPServer(('192.0.2.2', 80), Answer).serve_forever()`;
    web = spawn('ip', ['netns', 'exec', b, 'python3', '-c', server], { stdio: 'ignore' });
  });
  afterAll(() => {
    web.kill('SIGKILL');
    for (const name of names) ip('netns', 'del', name);
  });
  const ask = (question: object): unknown =>
    JSON.parse(
      execFileSync('ip', ['netns', 'exec', names[0], 'python3', '-', JSON.stringify(question)], {
        ...{ input: nodeFactsProgram, encoding: 'utf8' },
      }),
    );

  test('asks for a host that nobody has, and knocks at the port of TLS', () => {
    const question = { part: 'ingress', asks: [{ node: 'w1', address: '192.0.2.2' }] };
    // The server of this test needs a moment to begin.
    let answer = ask(question) as { status: number | null }[];
    for (let tries = 0; answer[0]!.status === null && tries < 20; tries += 1) answer = ask(question) as typeof answer;
    expect(answer).toEqual([{ status: 404, error: null, tlsError: 'Connection refused' }]);
  });

  test('measures the way to another machine, and finds the largest packet where it is too short', () => {
    const target = (address: string) => ({ node: 'w1', family: 'ipv4', address, bytes: 1500 });
    expect(ask({ part: 'ways', targets: [target('192.0.2.2'), target('192.0.2.9')] })).toEqual([1500, null]);
    inside(names[1], 'nft', 'add table inet less; add chain inet less in { type filter hook input priority 0; }');
    inside(names[1], 'nft', 'add rule inet less in meta length > 1450 drop');
    expect(ask({ part: 'ways', targets: [target('192.0.2.2')] })).toEqual([1450]);
  });
});
