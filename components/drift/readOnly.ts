import { bash } from '../nodes/bash';

/**
 * The words of node preparation that change something, in a form that tells what they would change. Read after them, and
 * before their work is asked for: what is compared is then what preparation itself would write, and nothing is written.
 */
export const READ_ONLY = bash`
ROLE=prepare
DIFFERENCES_FOUND=()

# problem KEY WANTED FOUND WHY
problem() {
  local what wanted found why
  json what "$1"
  json wanted "$2"
  json found "$3"
  # Most of them tell why a change that was tried has failed, and none was tried here: advice about other files stays.
  [[ -n $3 && \${4-} = *remove* ]] && json why "$4" || json why ''
  DIFFERENCES_FOUND+=("{\"role\": \"$ROLE\", \"what\": $what, \"wanted\": $wanted, \"found\": $found, \"why\": $why}")
}

# Whatever has a value is read back by the checks; what a unit is like is told here alone.
audit() { [[ $1 != 'unit '* ]] || problem "$1" "\${3-}" "\${2-}"; }

# A file that somebody rewrote is told by its first lines.
MOST_LINES=10
write_file() {
  local path=$1 content=$3 old line told=0
  local -A before=() after=()
  if [ ! -f "$path" ]; then
    problem "$path" 'the file' 'no such file'
    return
  fi
  slurp old "$path"
  [ "$old" != "$content" ] || return 0
  while IFS= read -r line; do before["=$line"]=1; done <<<"$old"
  while IFS= read -r line; do after["=$line"]=1; done <<<"$content"
  while IFS= read -r line; do
    [[ -n "\${before["=$line"]-}" || $line = '#'* ]] || [ "$told" -ge "$MOST_LINES" ] || { problem "$path" "$line" '' && told=$((told + 1)); }
  done <<<"$content"
  while IFS= read -r line; do
    [[ -n "\${after["=$line"]-}" || $line = '#'* ]] || [ "$told" -ge "$MOST_LINES" ] || { problem "$path" '' "$line" && told=$((told + 1)); }
  done <<<"$old"
  [ "$told" -gt 0 ] || problem "$path" 'as planned' 'other comments or another order'
}

pending() { :; }
is_pending() { return 1; }
settled() { :; }
settle() { :; }
offload_set() { :; }
remove_what_left() { :; }
wait_for_network() { :; }

# And should a step be forgotten above, the programs that change something do not run.
for program in systemctl networkctl udevadm modprobe sysctl swapoff apt-get mkdir rm mv chmod; do
  eval "$program() { :; }"
done
`;
