/**
 * The committed lab site as a site of its own, for tests and the bench: another name, which is also that of its namespace,
 * and a state of its own.
 */
export function labCopy(committed: string, site: string, stateUrl: string): string {
  return committed
    .replace(/^name: lab$/m, `name: ${site}\nbackend:\n  url: ${stateUrl}`)
    .replaceAll('/run/sitewright/lab/', `/run/sitewright/${site}/`);
}

/** The same without its cluster, where only the machines and their network are measured or broken. */
export function machinesOnlyLab(committed: string, site: string, stateUrl: string): string {
  return labCopy(committed, site, stateUrl).replace(/^kubernetes:\n( .*\n|\n)*/m, '');
}
