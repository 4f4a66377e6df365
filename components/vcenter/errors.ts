/** What a vCenter refused or could not do; the message names the server and is meant for a person. */
export class VcenterError extends Error {
  /** @param fault type of the fault as vSphere names it, such as InvalidLogin; null where it did not get so far */
  constructor(
    server: string,
    message: string,
    readonly fault: string | null = null,
  ) {
    super(`${server}: ${message}`);
    this.name = 'VcenterError';
  }
}
