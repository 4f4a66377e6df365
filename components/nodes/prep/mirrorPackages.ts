import { bash } from '../bash';

/** Packages that a machine lacks come from where its own apt gets them. */
export const MIRROR_PACKAGES = bash`
# Whether a mirror answers is seen when it is asked.
check_package_source() { :; }

install_packages() {
  [ "\${#MISSING_PACKAGES[@]}" -gt 0 ] || return 0
  step "installing \${MISSING_PACKAGES[*]}"
  audit packages '' "\${MISSING_PACKAGES[*]}"
  # A network that drops packets holds apt-get for very long: the limits make that a message.
  local apt=(apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=0 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20)
  local install=(timeout 900 "\${apt[@]}" install -y --no-install-recommends "\${MISSING_PACKAGES[@]}")
  export DEBIAN_FRONTEND=noninteractive
  "\${install[@]}" >&2 || { timeout 120 "\${apt[@]}" update >&2 && "\${install[@]}" >&2; } ||
    refuse "apt-get could not install: \${MISSING_PACKAGES[*]}; let this machine reach a mirror of $DISTRIBUTION, or put these packages in its image"
  refuse_missing_packages
}
`;
