import { homedir } from 'node:os';

/** `file://~/…` with the user's home folder in place of the tilde, as the engine wants it. */
export const expandBackend = (url: string) => url.replace(/^file:\/\/~(?=\/|$)/, `file://${homedir()}`);

/** Folder of a file backend; undefined for a shared one. */
export const backendFolder = (url: string) => /^file:\/\/(\/[^?]*)/.exec(expandBackend(url))?.[1];
