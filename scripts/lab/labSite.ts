/**
 * The committed lab site as a site of its own, for tests and the bench: another name, which is also that of its namespace,
 * a state of its own, and machines only. What is measured and broken there is the machines and their network.
 */
export function machinesOnlyLab(committed: string, site: string, stateUrl: string): string {
  return committed
    .replace(/^name: lab$/m, `name: ${site}\nbackend:\n  url: ${stateUrl}`)
    .replace(/^kubernetes:\n( .*\n|\n)*/m, '')
    .replaceAll('/run/sitewright/lab/', `/run/sitewright/${site}/`);
}
