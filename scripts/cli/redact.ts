/** Shorter pieces would blank out words that happen to be equal. */
const MIN_CHARACTERS = 8;

/**
 * Makes a function that blanks the secrets of a site out of a text: whole values, and each line of those that have
 * several, because a key is often quoted line by line. The engine does the same for its own output; this is for the
 * day that it misses one.
 */
export function redactor(secrets: readonly string[]): (text: string) => string {
  const pieces = secrets
    .flatMap((secret) => [secret, ...secret.split('\n')])
    .map((piece) => piece.trim())
    .filter((piece) => piece.length >= MIN_CHARACTERS && !/^-+(BEGIN|END) [A-Z ]+-+$/.test(piece))
    .sort((a, b) => b.length - a.length);
  return (text) => pieces.reduce((clean, piece) => clean.split(piece).join('[secret]'), text);
}
