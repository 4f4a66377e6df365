import { parseSession, type LentSession } from '../../components/vcenter/login';
import { ask, type VcenterTrust } from '../../components/vcenter/trust';
import { CREDENTIALS } from './simulator';

/** As govc does it: two logins, whose sessions are somebody's and not the kit's. */
export async function makeSession(trust: VcenterTrust): Promise<LentSession> {
  const { user, password } = CREDENTIALS;
  const body = `<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><Login xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this><userName>${user}</userName><password>${password}</password></Login></Body></Envelope>`;
  const soap = await ask(trust, { method: 'POST', path: '/sdk', headers: { 'Content-Type': 'text/xml' }, body });
  const Authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  const rest = await ask(trust, { method: 'POST', path: REST, headers: { Authorization } });
  const cookie = /vmware_soap_session=([^;]*)/.exec(soap.cookies.join())![1]!;
  return parseSession(`${cookie}\n${(JSON.parse(rest.body) as { value: string }).value}`)!;
}

const REST = '/rest/com/vmware/cis/session';

/** As a vCenter does it with a session that was not used for long. */
export async function endSoap(trust: VcenterTrust, { soap }: LentSession): Promise<void> {
  const body =
    '<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><Logout xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this></Logout></Body></Envelope>';
  const headers = { 'Content-Type': 'text/xml', Cookie: `vmware_soap_session=${soap}` };
  await ask(trust, { method: 'POST', path: '/sdk', headers, body });
}

export async function endRest(trust: VcenterTrust, { rest }: LentSession): Promise<void> {
  await ask(trust, { method: 'DELETE', path: REST, headers: { 'vmware-api-session-id': rest } });
}
