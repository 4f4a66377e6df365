/** Of `@pulumi/vsphere` and its plugin, as package.json asks for it. Apart, because the package may be missing. */
export const VSPHERE_VERSION = '4.18.2';
