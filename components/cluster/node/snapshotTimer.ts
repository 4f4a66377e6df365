import { bash } from '../../nodes/bash';

/** Snapshots that the machine takes by itself, as the plan says; what an earlier plan said goes. */
export const SNAPSHOT_TIMER = bash`
snapshot_timer_apply() {
  local unit=$SNAPSHOT_UNIT units=/etc/systemd/system
  if [ -z "$SNAPSHOT_TIMER" ]; then
    [ -e "$units/$unit.timer" ] || return 0
    audit "unit $unit.timer" enabled removed
    systemctl disable --now "$unit.timer" >&2
    rm -f "$units/$unit.timer" "$units/$unit.service" "$SNAPSHOT_SCRIPT_FILE"
    systemctl daemon-reload >&2
    return
  fi
  step 'timer of snapshots of etcd'
  [ -d "$SNAPSHOT_FOLDER" ] ||
    problem "$SNAPSHOT_FOLDER" 'a folder' nothing 'snapshots of etcd go there: mount or make it, or change kubernetes.etcd.snapshots.directory'
  write_file "$SNAPSHOT_SCRIPT_FILE" 0755 "$SNAPSHOT_SCRIPT"
  write_file "$units/$unit.service" 0644 "$SNAPSHOT_SERVICE" "$unit"
  write_file "$units/$unit.timer" 0644 "$SNAPSHOT_TIMER" "$unit"
  [ -e "$units/timers.target.wants/$unit.timer" ] || pending "$unit"
  is_pending "$unit" || return 0
  systemctl daemon-reload >&2
  systemctl enable "$unit.timer" >&2 || problem "unit $unit.timer" enabled disabled 'systemctl enable failed; its message is above'
  settle "$unit" systemctl restart "$unit.timer"
}
`;
