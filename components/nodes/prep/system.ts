import { bash } from '../bash';

/** Swap, time, journal and /etc/hosts. */
export const SYSTEM = bash`
# Adds to the refusals of preflight what would keep swap on.
check_swap() {
  [ "$SWAP" = off ] || return 0
  local unit size key value held=0 available=0
  for unit in /etc/systemd/system/*.swap; do
    [[ ! -e $unit || $unit -ef /dev/null ]] ||
      refusals+=("swap is to be off, and a unit file in /etc cannot be masked: remove $unit, or set nodePrep.swap: keep")
  done
  while read -r _ _ _ size _; do [[ ! $size =~ ^[0-9]+$ ]] || held=$((held + size)); done </proc/swaps
  while read -r key value _; do [ "$key" != MemAvailable: ] || available=$value; done </proc/meminfo
  [ "$held" -le "$available" ] ||
    refusals+=("swap is to be off and holds $((held / 1024)) MiB, and only $((available / 1024)) MiB of memory are free for them: end what needs them, or set nodePrep.swap: keep")
}

swap_apply() {
  [ "$SWAP" = off ] || return 0
  step 'swap off'
  local fstab line out='' found=no unit name swaps masked
  slurp fstab /etc/fstab
  while IFS= read -r line; do
    if [[ $line =~ ^[[:space:]]*[^#[:space:]]+[[:space:]]+[^[:space:]]+[[:space:]]+swap([[:space:]]|$) ]]; then
      line="#sitewright: $line" found=yes
    fi
    out+=$line$'\n'
  done <<<"\${fstab%$'\n'}"
  [ "$found" = no ] || write_file /etc/fstab 0644 "$out" daemon-reload
  settle daemon-reload systemctl daemon-reload

  # Swap can also come from a unit file, from a GPT partition type or from zram: all of them are units.
  for unit in /etc/systemd/system/*.swap /usr/lib/systemd/system/*.swap /run/systemd/generator*/*.swap; do
    name=\${unit##*/}
    [[ -e $unit && ! /etc/systemd/system/$name -ef /dev/null ]] || continue
    audit "unit $name" enabled masked
    slurp masked "$MASKED_UNITS"
    write_file "$MASKED_UNITS" 0644 "$masked$name"$'\n'
    systemctl mask --now "$name" >&2 || true
  done

  slurp swaps /proc/swaps
  [[ $swaps == *$'\n'/* ]] || return 0
  audit swap on off
  swapoff -a >&2 || true
}

swap_check() {
  [ "$SWAP" = off ] || return 0
  local swaps
  slurp swaps /proc/swaps
  swaps=\${swaps#*$'\n'}
  [ -z "$swaps" ] || problem swap off "\${swaps%%[[:space:]]*}" 'swapoff failed: there may be too little memory for what is in it'
}

find_time_service() {
  TIME_SERVICE=none
  if command -v chronyd >/dev/null; then
    TIME_SERVICE=chrony
  elif [ -x /usr/lib/systemd/systemd-timesyncd ]; then
    TIME_SERVICE=systemd-timesyncd
  fi
}

# cloud-init writes a chrony.conf of its own, which leaves this line of the distribution out.
chrony_reads_sources() {
  slurp CHRONY_CONF /etc/chrony/chrony.conf
  [[ $CHRONY_CONF =~ (^|$'\n')[[:space:]]*sourcedir[[:space:]]+/etc/chrony/sources\.d ]]
}

time_apply() {
  [ "\${#NTP_SERVERS[@]}" -gt 0 ] || return 0
  step "time: $TIME_SERVICE"
  local wants=multi-user
  if [ "$TIME_SERVICE" = chrony ]; then
    write_file /etc/chrony/sources.d/sitewright.sources 0644 "$CHRONY_SOURCES" chrony
    chrony_reads_sources || write_file /etc/chrony/chrony.conf 0644 "\${CHRONY_CONF%$'\n'}"$'\nsourcedir /etc/chrony/sources.d\n' chrony
  else
    write_file /etc/systemd/timesyncd.conf.d/90-sitewright.conf 0644 "$TIMESYNCD_CONF" systemd-timesyncd
    wants=sysinit
  fi
  if [ ! -e "/etc/systemd/system/$wants.target.wants/$TIME_SERVICE.service" ]; then
    audit "unit $TIME_SERVICE" disabled enabled
    pending "$TIME_SERVICE"
    systemctl enable "$TIME_SERVICE.service" >&2 || true
  fi
  settle "$TIME_SERVICE" systemctl restart "$TIME_SERVICE.service"
}

time_check() {
  [ "\${#NTP_SERVERS[@]}" -gt 0 ] || return 0
  local found
  if [ "$TIME_SERVICE" = chrony ]; then
    chrony_reads_sources ||
      problem 'time servers' "\${NTP_SERVERS[*]}" 'not read' "/etc/chrony/chrony.conf has no line 'sourcedir /etc/chrony/sources.d'"
  else
    last_setting found NTP timesyncd.conf
    [ "$found" = "\${NTP_SERVERS[*]}" ] ||
      problem 'time servers' "\${NTP_SERVERS[*]}" "$found" 'a file in timesyncd.conf.d whose name sorts after 90-sitewright.conf sets NTP again: remove it'
  fi
}

journald_apply() {
  step 'journal'
  write_file /etc/systemd/journald.conf.d/90-sitewright.conf 0644 "$JOURNALD_CONF" systemd-journald
  settle systemd-journald systemctl restart systemd-journald.service
}

journald_check() {
  local found
  last_setting found SystemMaxUse journald.conf
  [ "$found" = "$JOURNALD_MAX_USE_BYTES" ] ||
    problem 'journal SystemMaxUse' "$JOURNALD_MAX_USE_BYTES" "$found" 'a file in journald.conf.d whose name sorts after 90-sitewright.conf sets it again: remove it'
}

# The rest of /etc/hosts belongs to the machine. A block that lost its end is taken up to the end of the file.
hosts_apply() {
  step '/etc/hosts'
  local hosts line kept='' inside=no
  slurp hosts /etc/hosts
  while IFS= read -r line; do
    [ "$line" != "$HOSTS_BEGIN" ] || inside=yes
    [ "$inside" = yes ] || kept+=$line$'\n'
    [ "$line" != "$HOSTS_END" ] || inside=no
  done <<<"\${hosts%$'\n'}"
  [ -z "$HOSTS_BLOCK" ] || kept+=$HOSTS_BEGIN$'\n'$HOSTS_BLOCK$HOSTS_END$'\n'
  write_file /etc/hosts 0644 "$kept"
}
`;
