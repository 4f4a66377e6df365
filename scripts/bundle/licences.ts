/** Every component of a bundle has this licence. */
const COMPONENTS = 'Apache-2.0';
/** What kube-proxy calls comes from a distribution; its own words are in the image, below /usr/share/doc. */
const PROXY_IMAGE = 'Apache-2.0 AND GPL-2.0-only AND GPL-2.0-or-later AND LGPL-2.1-or-later';

/** SPDX expression of an artifact. */
export const licenceOf = (path: string) => (path === 'images/kube-proxy.tar' ? PROXY_IMAGE : COMPONENTS);
