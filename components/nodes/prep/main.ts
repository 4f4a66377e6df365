import { bash } from '../bash';

/** The order of the work. */
export const MAIN = bash`
main() {
  wait_for_cloud_init
  preflight
  lock 600
  install_packages
  write_stamp
  modules_apply
  sysctls_apply
  swap_apply
  time_apply
  journald_apply
  network_apply
  offloads_apply
  hosts_apply

  step 'reading every value back'
  [ "$CHANGES" -eq 0 ] || ip_snapshot
  modules_check
  sysctls_check
  swap_check
  time_check
  journald_check
  network_check
  offloads_check
  if [ "\${#PROBLEMS[@]}" -gt 0 ]; then
    printf 'problem: %s\n' "\${PROBLEMS[@]}" >&2
    refuse "\${#PROBLEMS[@]} value(s) of this node are not as planned; they are listed above"
  fi
  if [ "$CHANGES" -eq 0 ]; then step 'nothing to change'; else step "$CHANGES change(s), recorded in $AUDIT_LOG"; fi
  facts
}
`;
