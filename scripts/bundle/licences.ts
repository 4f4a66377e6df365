/** Every component of a bundle has this licence. */
const COMPONENTS = 'Apache-2.0';
/** What comes from packages of a distribution; its own words are in the image, below /usr/share/doc. */
const PROXY_PACKAGES = 'GPL-2.0-only AND GPL-2.0-or-later AND LGPL-2.1-or-later';
const OF_IMAGES: Record<string, string> = {
  'images/kube-proxy.tar': `${COMPONENTS} AND ${PROXY_PACKAGES}`,
  'images/calico-node.tar': `${COMPONENTS} AND ${PROXY_PACKAGES} AND BSD-3-Clause AND (LGPL-2.1-only OR BSD-2-Clause)`,
  // On Debian and on Alpine, by their projects' own images.
  'images/nginx-ingress.tar': `${COMPONENTS} AND BSD-2-Clause AND ${PROXY_PACKAGES}`,
  'images/ingress-nginx.tar': `${COMPONENTS} AND BSD-2-Clause AND MIT AND GPL-2.0-only`,
  'images/toolbox.tar': `${PROXY_PACKAGES} AND BSD-3-Clause AND GPL-3.0-or-later AND PSF-2.0`,
};

/** SPDX expression of an artifact. */
export const licenceOf = (path: string) => OF_IMAGES[path] ?? COMPONENTS;
