import { bash } from '../../nodes/bash';

/** What snapshot and restore both look at. */
export const SNAPSHOT_STATUS = bash`
# snapshot_status FILE: HASH, REVISION and KEYS of a snapshot; false where etcd does not take it for one.
snapshot_status() {
  local status
  status=$(etcdutl snapshot status "$1" --write-out json) || return 1
  [[ $status =~ \"hash\":([0-9]+) ]] && printf -v HASH '%08x' "\${BASH_REMATCH[1]}" &&
    [[ $status =~ \"revision\":([0-9]+) ]] && REVISION=\${BASH_REMATCH[1]} &&
    [[ $status =~ \"totalKey\":([0-9]+) ]] && KEYS=\${BASH_REMATCH[1]}
}
`;

/**
 * A snapshot of this machine's etcd, encrypted before it leaves the work folder: to stdout, or as a file of a folder. The
 * private half of the key is among the site's secrets alone (components/secrets/etcdSnapshot has the format).
 */
export const ETCD_SNAPSHOT = bash`
WORK=/var/lib/sitewright/etcd-snapshot

forget_work() { rm -rf "$WORK"; }

take() {
  command -v openssl >/dev/null || refuse 'openssl is missing: install the package openssl on this machine'
  step 'takes a snapshot of etcd'
  # A snapshot has no limit of its own: of an etcd that does not answer it would wait for ever.
  etcdctl_here 60 endpoint health >&2 || refuse 'etcd on this machine does not answer; the message of etcdctl is above'
  etcdctl_here 60 snapshot save "$WORK/snapshot.db" >&2 ||
    refuse 'etcd on this machine gave no snapshot; the message of etcdctl is above'
  snapshot_status "$WORK/snapshot.db" || refuse 'the snapshot is not whole: etcdutl does not take it'
}

# What a reader is told without the key.
describe() {
  local now sum version line keys=''
  printf -v now '%(%Y-%m-%dT%H:%M:%SZ)T' -1
  sum=$(sha256sum "$WORK/snapshot.db")
  version=$(kubectl version --client --output json)
  [[ $version =~ \"gitVersion\":\ *\"([^\"]*)\" ]] && version=\${BASH_REMATCH[1]} || version=unknown
  while read -r line; do
    [[ ! $line =~ ^-?\ *name:\ (.*)$ ]] || keys+="\${keys:+, }\"\${BASH_REMATCH[1]}\""
  done <"$ENCRYPTION_FILE"
  printf '{"site": "%s", "node": "%s", "taken": "%s", "kubernetes": "%s", "revision": %d, "hash": "%s", "keys": %d, "sizeBytes": %d, "sha256": "%s", "encryptionKeys": [%s], "publicKey": "%s"}\n' \
    "$SITE" "$NODE" "$now" "$version" "$REVISION" "$HASH" "$KEYS" "$(stat -c %s "$WORK/snapshot.db")" "\${sum%% *}" "$keys" \
    "$(openssl pkey -in "$WORK/key.pem" -pubout -outform DER | base64 -w 0)"
}

# A key of its own for every file: what this machine keeps opens none of them.
encrypt() {
  printf '%s' "$PUBLIC_KEY" >"$WORK/recipient.pem"
  openssl genpkey -algorithm X25519 -out "$WORK/key.pem" &&
    openssl pkeyutl -derive -inkey "$WORK/key.pem" -peerkey "$WORK/recipient.pem" | od -An -v -tx1 | tr -d ' \n' >"$WORK/secret" &&
    [ "$(stat -c %s "$WORK/secret")" -eq 64 ] || refuse 'openssl could not make a key for this snapshot; its message is above'
  printf '%s\n' "$FORMAT" && describe &&
    openssl enc -aes-256-ctr -pbkdf2 -pass "file:$WORK/secret" -in "$WORK/snapshot.db"
}

# Whole or not at all: a reader of the folder, or a restore, must not take half a file for a snapshot.
to_folder() {
  local name now
  [ -d "$FOLDER" ] || refuse "$FOLDER is not there: mount or make it (kubernetes.etcd.snapshots.directory)"
  printf -v now '%(%Y%m%dT%H%M%SZ)T' -1
  name=$FOLDER/$SITE.$NODE
  rm -f "$name".*.partial
  encrypt >"$name.$now.partial" && sync "$name.$now.partial" && mv -f "$name.$now.partial" "$name.$now$SUFFIX" || {
    rm -f "$name.$now.partial"
    refuse "$FOLDER: the snapshot could not be written; is there room, and may root write?"
  }
  step "wrote $name.$now$SUFFIX: revision $REVISION, hash $HASH"
  prune "$name"
}

# Names sort as their times do.
prune() {
  local -a all=("$1".*"$SUFFIX")
  while [ "\${#all[@]}" -gt "$KEEP" ]; do
    step "removes \${all[0]}"
    rm -f "\${all[0]}"
    all=("\${all[@]:1}")
  done
}

main() {
  umask 077
  mkdir -p "\${WORK%/*}"
  exec 8>/run/sitewright-etcd-snapshot.lock
  flock -w 600 8 || refuse 'another snapshot is being taken on this machine, for 10 minutes now: see ps -ef'
  # Of a run that was killed.
  forget_work
  trap forget_work EXIT
  mkdir "$WORK"
  take
  if [ -n "$FOLDER" ]; then to_folder; else encrypt; fi
}
`;
