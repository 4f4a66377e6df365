import { bash } from '../../nodes/bash';

/**
 * One control-plane machine's part of a restore. Each word of ACTION is one run, and each can be run again: what an earlier
 * run did is found and not done twice. All machines do one before any does the next, so that no API server and no member
 * of etcd ever sees both the old data and the new.
 *
 * While $RESTORE is there, a restore of this machine is not over, and `up` leaves its control plane alone.
 */
export const ETCD_RESTORE = bash`
MANIFESTS=/etc/kubernetes/manifests
ASIDE=$RESTORE/manifests
SNAPSHOT=$RESTORE/snapshot.db
STATIC_PODS=(kube-apiserver kube-controller-manager kube-scheduler etcd)

etcd_manifest() {
  local folder
  for folder in "$MANIFESTS" "$ASIDE"; do
    [ -e "$folder/etcd.yaml" ] && printf '%s' "$folder/etcd.yaml" && return
  done
}

# What the machine is as a member, and whether an earlier restore did not end.
look() {
  local pod manifest name peers id received=false
  for pod in "\${STATIC_PODS[@]}"; do
    [ -e "$MANIFESTS/$pod.yaml" ] || [ -e "$ASIDE/$pod.yaml" ] ||
      refuse "$MANIFESTS/$pod.yaml is not there: 'sitewright up $SITE' writes it again where there was a control plane"
  done
  manifest=$(etcd_manifest)
  name=$(manifest_argument "$manifest" name) && peers=$(manifest_argument "$manifest" initial-advertise-peer-urls) ||
    refuse "$manifest names no member of etcd: it was changed by hand"
  slurp id "$RESTORE/id"
  ! has_snapshot || received=true
  printf '{"member": "%s=%s", "unfinished": "%s", "received": %s}\n' "$name" "$peers" "\${id%$'\n'}" "$received"
}

has_snapshot() {
  local sum
  [ -e "$SNAPSHOT" ] && sum=$(sha256sum "$SNAPSHOT") && [ "\${sum%% *}" = "$SHA256" ]
}

# room_in FOLDER BYTES
room_in() {
  local free
  free=$(df --output=avail -B1 "$1" | tail -n 1)
  [ "$free" -ge "$2" ] ||
    refuse "$1 has $((free / 1048576)) MiB free, and the restore needs $(($2 / 1048576 + 1)) MiB there: make room; nothing was changed"
}

# The snapshot follows this script on its standard input. Nothing of the cluster is touched here.
receive() {
  mkdir -p "$RESTORE"
  room_in "$RESTORE" "$SIZE_BYTES"
  # The file that etcd makes of it grows as it is written to.
  room_in "$ETCD_FOLDER" "$((SIZE_BYTES + SIZE_BYTES / 4))"
  step 'receives the snapshot'
  # What an interrupted restore of another snapshot made is of no use to this one.
  rm -f "$RESTORE/made" "$RESTORE/restored"
  head -c "$SIZE_BYTES" >"$SNAPSHOT.new"
  mv -f "$SNAPSHOT.new" "$SNAPSHOT"
  check
}

# Everything that can be found out before the cluster is stopped.
check() {
  has_snapshot || refuse 'the snapshot arrived damaged: run again'
  snapshot_status "$SNAPSHOT" || refuse 'etcdutl does not take the snapshot; its message is above'
}

none_runs() {
  local pod id
  for pod in "\${STATIC_PODS[@]}"; do
    # kubelet does it too; where it is stopped, nobody else would.
    for id in $(running "$pod"); do crictl stop --timeout 30 "$id" && return 1; done
  done
}

stop() {
  local pod
  check
  printf '%s\n' "$SHA256" >"$RESTORE/id"
  mkdir -p "$ASIDE"
  step 'stops the API server, the controllers and etcd'
  for pod in "\${STATIC_PODS[@]}"; do
    [ ! -e "$MANIFESTS/$pod.yaml" ] || mv -f "$MANIFESTS/$pod.yaml" "$ASIDE/$pod.yaml"
  done
  sync "$ASIDE"
  wait_until "$LIMIT_SECONDS" 'all of them have ended' none_runs ||
    refuse "containers of the control plane do not end: see 'crictl ps' on this machine; then run again"
}

# The old data stays beside the new, under another name. Three renames, and each tells the next run where this one was.
data() {
  local name peers made=$ETCD_FOLDER/restoring old=$ETCD_FOLDER/member-before-$SHA256
  local manifest=$ASIDE/etcd.yaml
  if [ -e "$RESTORE/restored" ]; then return 0; fi
  step 'restores the data of etcd; the old data stays beside it'
  name=$(manifest_argument "$manifest" name) && peers=$(manifest_argument "$manifest" initial-advertise-peer-urls) ||
    refuse "$manifest names no member of etcd: it was changed by hand"
  if [ ! -e "$RESTORE/made" ]; then
    rm -rf "$made"
    # Revisions that go back would let every watch in the cluster miss what happens next: so they go forward by more than
    # anybody writes, and what is older counts as compacted, so that all who watch read everything again.
    etcdutl snapshot restore "$SNAPSHOT" --data-dir "$made" --name "$name" --initial-advertise-peer-urls "$peers" \
      --initial-cluster "$INITIAL_CLUSTER" --bump-revision 1000000000 --mark-compacted >&2 ||
      refuse 'etcdutl could not restore the snapshot; its message is above. The old data is where it was; run again'
    sync -f "$made" && : >"$RESTORE/made"
  fi
  if [ -e "$made/member" ]; then
    [ ! -e "$ETCD_FOLDER/member" ] || mv "$ETCD_FOLDER/member" "$old"
    mv "$made/member" "$ETCD_FOLDER/member"
  fi
  rm -rf "$made"
  chmod 0700 "$ETCD_FOLDER" "$ETCD_FOLDER/member"
  sync -f "$ETCD_FOLDER" && : >"$RESTORE/restored"
}

start() {
  local pod
  [ -e "$RESTORE/restored" ] || refuse 'the data of etcd is not restored yet: run again'
  step 'starts etcd, the API server and the controllers'
  for pod in etcd kube-apiserver kube-controller-manager kube-scheduler; do
    [ ! -e "$ASIDE/$pod.yaml" ] || mv -f "$ASIDE/$pod.yaml" "$MANIFESTS/$pod.yaml"
  done
  # It knows pods of the time after the snapshot; and what the snapshot does not know of its Node it registers again.
  systemctl restart kubelet.service >&2
  wait_until "$LIMIT_SECONDS" 'the API of this machine is ready' local_api_ready ||
    refuse "the API of this machine is not ready: see 'crictl ps -a' and journalctl -u kubelet on this machine; then run again"
}

# end: the old data gets a name that the next restore does not meet; prints it.
end() {
  local now old count=0
  printf -v now '%(%Y%m%dT%H%M%SZ)T' -1
  for old in "$ETCD_FOLDER"/member-before-*; do
    [ -e "$old" ] || continue
    count=$((count + 1))
    mv "$old" "$ETCD_FOLDER/before-restore-$now-$count"
    printf '%s\n' "$ETCD_FOLDER/before-restore-$now-$count"
  done
  audit 'data of etcd' 'of before' "snapshot $SHA256"
  rm -rf "$RESTORE"
}

kubelet() { systemctl restart kubelet.service >&2; }

nodes_ready() {
  local node
  for node in "\${NODES[@]}"; do
    [ "$(kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout 30s get node "$node" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ] || return 1
  done
}
ready() {
  wait_until "$LIMIT_SECONDS" 'every Node is Ready' nodes_ready ||
    refuse "not every Node of \${NODES[*]} is Ready: see 'kubectl get nodes'. The data is restored"
}

main() {
  umask 077
  lock 600
  "$ACTION"
}
`;
