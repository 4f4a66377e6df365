import type { KvmImagePlan, KvmPlan } from '../plan/types';
import { REMOVE_UNUSED_BUNDLES } from './bundleImageScript';
import { STAMP_NAMESPACE } from './domainXml';
import { hypervisorScript, hypervisorVariables, type ShellValue } from './hypervisorScript';

type Hypervisor = KvmPlan['hypervisors'][number];

/** Places the base image, and its kernel and initial RAM disk, in the pool of a hypervisor: once per content. */
export function baseImageScript(hypervisor: Hypervisor, image: KvmImagePlan): string {
  return hypervisorScript({
    variables: { ...hypervisorVariables(hypervisor), ...baseImageVariables(image) },
    functions: [STORE_BASES, PLACE_MAIN],
    readFrom: 'stdin',
  });
}

/**
 * Removes what this state has left on a hypervisor, after its machines are gone: machines that an interrupted or failed run
 * began and the state never learnt of, and every base image and bundle that nothing uses any more, whichever site placed it.
 */
export function baseImageDeleteScript(hypervisor: Hypervisor, site: string, stampId: string): string {
  return hypervisorScript({
    variables: { ...hypervisorVariables(hypervisor), ...stampVariables(site, stampId) },
    functions: [REMOVE_FUNCTIONS, REMOVE_UNUSED_BUNDLES, REMOVE_MAIN],
    readFrom: 'argument',
  });
}

export function stampVariables(site: string, stampId: string): Record<string, ShellValue> {
  return { site, stamp: stampId, stampNamespace: STAMP_NAMESPACE };
}

/** Files are named by content, so that another image stands beside the ones that machines still use. */
export function baseImageVariables(image: KvmImagePlan): Record<string, ShellValue> {
  return {
    imagePath: image.path ?? '',
    imageUrl: image.url ?? '',
    imageSha256: image.sha256,
    imageFormat: image.format,
    imageName: baseName(image.sha256, image.format),
    kernelPath: image.kernel?.path ?? '',
    kernelSha256: image.kernel?.sha256 ?? '',
    kernelName: image.kernel === null ? '' : baseName(image.kernel.sha256, 'kernel'),
    initrdPath: image.kernel?.initrd ?? '',
    initrdSha256: image.kernel?.initrdSha256 ?? '',
    initrdName: image.kernel === null ? '' : baseName(image.kernel.initrdSha256, 'initrd'),
  };
}

function baseName(sha256: string, extension: string): string {
  return `sitewright-base-${sha256.slice(0, 12)}.${extension}`;
}

/** Stalled: below this rate for this long. The whole download has no limit, because a slow line is no fault. */
const STALLED_BYTES_PER_SECOND = 1024;
const STALLED_SECONDS = 120;

/** `store_bases` is also part of a machine's script: a base that somebody removed comes back when a machine needs it. */
export const STORE_BASES = `
# store <what> <path, or nothing> <url, or nothing> <sha256> <target>: whole under its own name, or not there.
store() {
  local what=$1 path=$2 url=$3 sha256=$4 target=$5 partial=$5.partial size actual
  rm -f "$partial"
  if [ -e "$target" ]; then return 0; fi
  if [ -n "$path" ]; then
    [ -r "$path" ] || fail "$hypervisor: the $what $path is not there"
    size=$(($(stat -L -c '%b * %B' "$path")))
    [ "$size" -le "$(free_bytes "$poolDirectory")" ] ||
      fail "$hypervisor: storage pool $pool is full: the $what needs $(human "$size"), $(human "$(free_bytes "$poolDirectory")") are free in $poolDirectory"
    step "copies the $what $path into pool $pool"
    cp --sparse=always --reflink=auto -- "$path" "$partial" || { rm -f "$partial"; fail "$hypervisor: could not copy the $what $path to $partial"; }
  else
    command -v curl >/dev/null || fail "$hypervisor: curl is not installed, and the $what is to be downloaded"
    step "downloads the $what $url into pool $pool"
    curl -fsSL --retry 3 --connect-timeout 30 --speed-limit ${STALLED_BYTES_PER_SECOND} --speed-time ${STALLED_SECONDS} -o "$partial" -- "$url" ||
      { rm -f "$partial"; fail "$hypervisor: could not download the $what $url"; }
  fi
  chmod 644 "$partial"
  actual=$(sha256sum <"$partial")
  actual=\${actual%% *}
  if [ "$actual" != "$sha256" ]; then
    rm -f "$partial"
    fail "$hypervisor: the $what \${path:-$url} has the sha256 $actual, and the site file says $sha256: correct the one that is wrong"
  fi
  attempt "write the $what to disk" sync "$partial"
  mv -f "$partial" "$target"
}

store_bases() {
  local format
  store 'base image' "$imagePath" "$imageUrl" "$imageSha256" "$poolDirectory/$imageName"
  format=$(qemu-img info -U "$poolDirectory/$imageName" | sed -n 's/^file format: //p')
  [ "$format" = "$imageFormat" ] ||
    fail "$hypervisor: the base image \${imagePath:-$imageUrl} has the format $format, and the site file says $imageFormat"
  if [ -n "$kernelName" ]; then
    store kernel "$kernelPath" '' "$kernelSha256" "$poolDirectory/$kernelName"
    store 'initial RAM disk' "$initrdPath" '' "$initrdSha256" "$poolDirectory/$initrdName"
  fi
}
`;

const PLACE_MAIN = `
main() {
  require_libvirt
  inspect_pool "$pool"
  stop_on_problems
  lock_pool "$poolDirectory"
  store_bases
  vir pool-refresh "$pool" >/dev/null 2>&1 || true
}
`;

const REMOVE_FUNCTIONS = `
# Machines of this state, this hypervisor and this pool: those of the hypervisor under a new name or in a new pool stay.
remove_unknown_machines() {
  local domain metadata configuration file
  for domain in $domains; do
    metadata=$(stamp_of "$domain")
    [ "$(attribute site "$metadata")/$(attribute stamp "$metadata")" = "$site/$stamp" ] || continue
    [ "$(attribute hypervisor "$metadata")" = "$hypervisor" ] || continue
    configuration=$(vir dumpxml --inactive "$domain")
    case $configuration in *"'$poolDirectory/$domain-root.qcow2'"*) ;; *) continue ;; esac
    stop_domain "$domain"
    for file in $(printf '%s\\n' "$configuration" | sed -n "s/.*<source file='\\([^']*\\)'.*/\\1/p"); do
      case $file in */"$domain"-root.qcow2 | */"$domain"-etcd.raw | */"$domain"-seed.iso)
        rm -f "$file" "$file.partial" "$(dirname "$file")/.$domain.probe" ;;
      esac
    done
    rm -rf "/run/sitewright-seed-$domain"
    undefine_domain "$domain"
  done
}

# A base is in use when a domain names it or a volume of the pool is an overlay of it.
remove_unused_bases() {
  local domain file used=''
  for domain in $domains; do
    used+=$(vir dumpxml "$domain" 2>/dev/null; vir dumpxml --inactive "$domain" 2>/dev/null) || true
  done
  for file in "$poolDirectory"/*; do
    case $file in */sitewright-base-* | */sitewright-bundle-*) continue ;; esac
    if [ -f "$file" ]; then used+=$(qemu-img info -U "$file" 2>/dev/null | sed -n 's/^backing file: //p') || true; fi
  done
  for file in "$poolDirectory"/sitewright-base-*; do
    [ -e "$file" ] || continue
    case $used in
      *"$file"*) step "keeps $file, which another machine uses" ;;
      *) step "removes $file"; rm -f "$file" ;;
    esac
  done
}

list_domains() { domains=$(vir list --all --name) || fail "$hypervisor: libvirt does not list its domains"; }
`;

const REMOVE_MAIN = `
main() {
  require_libvirt
  inspect_pool "$pool"
  if [ "\${#problems[@]}" -gt 0 ]; then
    step "nothing to remove: \${problems[0]}"
    return 0
  fi
  lock_pool "$poolDirectory"
  list_domains
  remove_unknown_machines
  list_domains
  remove_unused_bases
  give_up_bundles
  remove_unused_bundles
  vir pool-refresh "$pool" >/dev/null 2>&1 || true
}
`;
