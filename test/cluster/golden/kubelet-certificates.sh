#!/bin/bash
# Made by sitewright. Edits are undone by the next run on this node.
# Lets the nodes of the site have certificates of the cluster for their own names: what waits in kubectl get csr.
set -u
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
NAMES=/etc/kubernetes/sitewright/kubelet-names

ask() { kubectl --kubeconfig /etc/kubernetes/admin.conf --request-timeout 60s "$@"; }

# refusal REQUEST: sets WHY, empty where the request is to be approved. Returns 1 where it is decided already.
refusal() {
  local fields usages conditions request user line node='' subject text sans='' count=0 san name found=no
  local -a allowed=() wanted=()
  # The user comes last, with a word after it: whatever it holds, nothing else is read from it.
  fields=$(ask get "$1" -o 'jsonpath={.spec.usages[*]}|{.status.conditions[*].type}|{.spec.request}|{.spec.username}|end') || return 1
  IFS='|' read -r -d '' usages conditions request user <<<"$fields"
  user=${user%$'\n'}
  [ -z "$conditions" ] || return 1

  while IFS= read -r line; do
    if [ "$user" = "system:node:${line%%|*}|end" ]; then
      node=${line%%|*}
      IFS='|' read -r -a allowed <<<"${line#*|}"
    fi
  done <"$NAMES"
  WHY='it is of no node of this site'
  [ -n "$node" ] || return 0

  # In any order; kubelet asks for key encipherment with an RSA key only.
  line=${usages/digital signature/} line=${line/key encipherment/} line=${line/server auth/}
  WHY="it is to be used for: $usages"
  [[ $usages = *'server auth'* && -z ${line// /} ]] || return 0

  WHY='it is not of the form that kubelet gives it'
  subject=$(base64 -d <<<"$request" | openssl req -noout -subject -nameopt RFC2253) || return 0
  case $subject in
    "subject=CN=system:node:$node,O=system:nodes" | "subject=O=system:nodes,CN=system:node:$node") ;;
    *) return 0 ;;
  esac
  text=$(base64 -d <<<"$request" | openssl req -noout -text) || return 0
  while IFS= read -r line; do
    if [ "$found" = yes ]; then sans=$line; fi
    found=no
    if [[ $line =~ ^\ *X509v3\ Subject\ Alternative\ Name: ]]; then found=yes count=$((count + 1)); fi
  done <<<"$text"
  [ "$count" = 1 ] || return 0

  sans=${sans#"${sans%%[! ]*}"}
  mapfile -t wanted <<<"${sans//, /$'\n'}"
  for san in "${wanted[@]}"; do
    found=no
    for name in "${allowed[@]}"; do [ "$san" != "$name" ] || found=yes; done
    WHY="it is for $san, which is not a name of $node"
    [ "$found" = yes ] || return 0
  done
  WHY=
}

main() {
  local requests request
  requests=$(ask get certificatesigningrequests --field-selector spec.signerName=kubernetes.io/kubelet-serving -o name) || exit 1
  for request in $requests; do
    refusal "$request" || continue
    if [ -z "$WHY" ]; then
      ask certificate approve "${request#*/}" || exit 1
    else
      echo "$request stays undecided: $WHY"
    fi
  done
}
main
