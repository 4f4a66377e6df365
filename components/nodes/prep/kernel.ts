import { bash } from '../bash';

/** Kernel modules, then sysctls. */
export const KERNEL = bash`
# A module that is part of the kernel may have no folder in /sys/module.
module_loaded() {
  [ -d "/sys/module/\${1//-/_}" ] && return
  [ -n "\${BUILTIN_MODULES-}" ] || slurp BUILTIN_MODULES "/lib/modules/$KERNEL/modules.builtin"
  [[ $BUILTIN_MODULES == *"/\${1//-/_}.ko"* || $BUILTIN_MODULES == *"/\${1//_/-}.ko"* ]]
}

modules_apply() {
  step 'kernel modules'
  write_file "$MODULES_FILE" 0644 "$MODULES_CONTENT"
  local name missing=()
  for name in "\${MODULES[@]}"; do module_loaded "$name" || missing+=("$name"); done
  [ "\${#missing[@]}" -gt 0 ] || return 0
  for name in "\${missing[@]}"; do audit "module $name" 'not loaded' loaded; done
  modprobe -a "\${missing[@]}" >&2 || true
}

modules_check() {
  local name
  for name in "\${MODULES[@]}"; do
    module_loaded "$name" ||
      problem "module $name" loaded 'not loaded' "modprobe $name fails on kernel $KERNEL: use a kernel that has it and do not blacklist it"
  done
}

# sysctl_value VARIABLE FILE: fields separated by one space.
sysctl_value() {
  local text
  local -a fields=()
  slurp text "$2"
  read -r -a fields <<<"\${text//$'\n'/ }"
  printf -v "$1" '%s' "\${fields[*]}"
}

# each_sysctl FUNCTION: calls it with key, file and wanted value, for every file that a key (maybe with *) names.
each_sysctl() {
  local index file
  for index in "\${!SYSCTL_KEYS[@]}"; do
    # shellcheck disable=SC2086 # a key may hold *
    for file in /proc/sys/\${SYSCTL_PATHS[index]}; do "$1" "\${SYSCTL_KEYS[index]}" "$file" "\${SYSCTL_VALUES[index]}"; done
  done
}

sysctl_plan() {
  local found
  sysctl_value found "$2"
  [ "$found" != "$3" ] || return 0
  SYSCTL_DIFFERS=yes
  audit "sysctl $1" "$found" "$3"
}

# Modules come first: the keys of nf_conntrack and br_netfilter do not exist without them.
sysctls_apply() {
  step 'sysctls'
  write_file "$SYSCTL_FILE" 0644 "$SYSCTL_CONTENT"
  SYSCTL_DIFFERS=no
  each_sysctl sysctl_plan
  [ "$SYSCTL_DIFFERS" = yes ] || return 0
  sysctl -q -p "$SYSCTL_FILE" >&2 || true
}

sysctl_verify() {
  local found
  if [ ! -e "$2" ]; then
    problem "sysctl $1" "$3" 'no such key' "kernel $KERNEL has no $2: load the module it belongs to, or take it out of nodePrep.sysctls"
    return
  fi
  sysctl_value found "$2"
  [ "$found" = "$3" ] || problem "sysctl $1" "$3" "$found" 'the kernel did not take the value; sysctl says why above'
}

# systemd-sysctl reads the files of all folders in the order of their names; what sorts after ours wins at the next boot.
sysctls_check() {
  each_sysctl sysctl_verify
  local path line key value index
  for path in /usr/lib/sysctl.d/*.conf /usr/local/lib/sysctl.d/*.conf /run/sysctl.d/*.conf /etc/sysctl.d/*.conf; do
    [[ -f $path && \${path##*/} > \${SYSCTL_FILE##*/} ]] || continue
    while IFS= read -r line; do
      [[ $line =~ ^[[:space:]]*-?([a-z0-9][^=[:space:]]*)[[:space:]]*=[[:space:]]*(.*[^[:space:]]) ]] || continue
      key=\${BASH_REMATCH[1]} value=\${BASH_REMATCH[2]}
      # net.ipv4.conf.eth0/100.x and net/ipv4/conf/eth0.100/x are the same: the first separator decides.
      [[ $key =~ ^[^./]*/ ]] || { key=\${key//\//:} && key=\${key//./\/} && key=\${key//:/.}; }
      for index in "\${!SYSCTL_KEYS[@]}"; do
        # shellcheck disable=SC2053 # the other file may use * too
        [[ \${SYSCTL_PATHS[index]} == $key && $value != "\${SYSCTL_VALUES[index]}" ]] || continue
        problem "sysctl \${SYSCTL_KEYS[index]}" "\${SYSCTL_VALUES[index]} after a restart" "$value" \
          "$path is read after $SYSCTL_FILE and sets it again: remove the line there, or put the value in nodePrep.sysctls"
      done
    done <"$path"
  done
}
`;
