import {
  childNodes,
  children,
  referenceOf,
  referenceXml,
  textAt,
  type Reference,
  type VcenterSession,
  type Xml,
} from './soap';

/** An object with the properties that were asked for; one that it does not have is absent. */
export interface Properties {
  object: Reference;
  values: Map<string, Xml | string>;
}

const specs = (wanted: Record<string, string[]>) =>
  Object.entries(wanted)
    .map(
      ([type, paths]) =>
        `<propSet><type>${type}</type><all>false</all>${paths.map((path) => `<pathSet>${path}</pathSet>`).join('')}</propSet>`,
    )
    .join('');

async function retrieve(session: VcenterSession, specSet: string): Promise<Properties[]> {
  const answer = await session.call(session.service.propertyCollector, 'RetrieveProperties', specSet);
  return childNodes(answer, 'returnval').map((content) => ({
    object: referenceOf(children(content, 'obj')[0] ?? ''),
    values: new Map(
      childNodes(content, 'propSet').map((property) => [
        textAt(property, 'name') ?? '',
        children(property, 'val')[0] ?? '',
      ]),
    ),
  }));
}

/** Everything below the root folder, of the types that are asked for. */
export async function retrieveAll(session: VcenterSession, wanted: Record<string, string[]>): Promise<Properties[]> {
  const { viewManager, rootFolder } = session.service;
  const types = Object.keys(wanted)
    .map((type) => `<type>${type}</type>`)
    .join('');
  const made = await session.call(
    viewManager,
    'CreateContainerView',
    `${referenceXml('container', rootFolder)}${types}<recursive>true</recursive>`,
  );
  const view = referenceOf(children(made, 'returnval')[0] ?? '');
  const traversal =
    '<selectSet xsi:type="TraversalSpec"><name>view</name><type>ContainerView</type><path>view</path><skip>false</skip></selectSet>';
  const found = await retrieve(
    session,
    `<specSet>${specs(wanted)}<objectSet>${referenceXml('obj', view)}<skip>true</skip>${traversal}</objectSet></specSet>`,
  );
  // A session that outlives the kit's use of it would keep every view.
  await session.call(view, 'DestroyView');
  return found;
}

/** Properties of one object. */
export async function retrieveOne(
  session: VcenterSession,
  object: Reference,
  paths: string[],
): Promise<Map<string, Xml | string>> {
  const [found] = await retrieve(
    session,
    `<specSet>${specs({ [object.type]: paths })}<objectSet>${referenceXml('obj', object)}<skip>false</skip></objectSet></specSet>`,
  );
  return found?.values ?? new Map<string, Xml | string>();
}
