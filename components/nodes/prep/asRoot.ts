/** A script of delete as root: a command of delete has no stdin of its own, so the bash that sudo starts is given one. */
export function renderRemoval(body: string): string {
  return `as_root() { if [ "$EUID" -eq 0 ]; then "$@"; else sudo -n "$@"; fi; }
as_root bash -s <<'END_OF_REMOVE'
${body}END_OF_REMOVE
`;
}

/**
 * Bash reads its script from stdin no further than it must, so the bash that sudo starts goes on where this one stopped.
 * The message is made after a failure only: a second sudo costs an emulated node half a second.
 */
export const AS_ROOT = `if [ "$EUID" -ne 0 ]; then
  sudo -n bash -s -- "\${SSH_CONNECTION-}"
  code=$?
  [ "$code" -eq 0 ] || sudo -n true 2>/dev/null ||
    echo "error: the user $(id -un) must be able to run sudo without a password: add '$(id -un) ALL=(ALL) NOPASSWD:ALL' to a file in /etc/sudoers.d" >&2
  exit "$code"
fi
set -u
umask 022
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C TZ=UTC0
CHANGES=0
`;
