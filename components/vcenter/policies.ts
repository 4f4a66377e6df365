import { childNodes, children, escapeXml, referenceOf, textAt, type Reference, type VcenterSession } from './soap';

const SERVICE: Reference = { type: 'PbmServiceInstance', id: 'ServiceInstance' };

/** Ids of the storage policies that machines and disks can have, by name. Needs the privilege StorageProfile.View. */
export async function storagePolicies(session: VcenterSession): Promise<Map<string, string>> {
  const [content] = childNodes(await session.call(SERVICE, 'PbmRetrieveServiceContent', '', 'pbm'), 'returnval');
  const manager = referenceOf(content === undefined ? '' : (children(content, 'profileManager')[0] ?? ''));
  const query =
    '<resourceType><resourceType>STORAGE</resourceType></resourceType><profileCategory>REQUIREMENT</profileCategory>';
  const found = childNodes(await session.call(manager, 'PbmQueryProfile', query, 'pbm'), 'returnval');
  if (found.length === 0) return new Map();
  const ids = found
    .map((id) => `<profileIds><uniqueId>${escapeXml(textAt(id, 'uniqueId') ?? '')}</uniqueId></profileIds>`)
    .join('');
  const profiles = childNodes(await session.call(manager, 'PbmRetrieveContent', ids, 'pbm'), 'returnval');
  return new Map(
    profiles.map((profile) => {
      const [id] = childNodes(profile, 'profileId');
      return [textAt(profile, 'name') ?? '', id === undefined ? '' : (textAt(id, 'uniqueId') ?? '')];
    }),
  );
}
