import type { KvmPlan } from '../plan/types';
import { bundleImageName, type SiteBundle } from './bundle';
import { hypervisorScript, hypervisorVariables, type ShellValue } from './hypervisorScript';

type Hypervisor = KvmPlan['hypervisors'][number];

/** Whose claim on a bundle it is: a site, as one state knows it. */
export interface BundleClaim {
  site: string;
  stampId: string;
}

/**
 * Places the bundle in the pool of the hypervisor that runs the engine, once per content, from the cache there.
 *
 * A bundle in a pool stays while a domain has it as a disk, or while a site claims it: between placing it and attaching it
 * no domain tells that it is needed. A site claims one bundle of a pool at a time.
 */
export function bundleImageScript(hypervisor: Hypervisor, bundle: SiteBundle, claim: BundleClaim): string {
  return hypervisorScript({
    variables: placeVariables(hypervisor, bundle, claim),
    functions: [CLAIM_BUNDLE, STORE_BUNDLE_FROM_CACHE, PLACE_MAIN],
    readFrom: 'stdin',
    usesCache: true,
  });
}

/**
 * For a hypervisor that is reached over SSH: one script, run twice. Without an offset it tells on stdout how much is there:
 * `{"complete": true}` or `{"offset": <bytes>}`. With that offset it appends its standard input, checks the whole and
 * publishes it. What a broken connection left stays for the next try.
 */
export function receiveBundleImageScript(
  hypervisor: Pick<Hypervisor, 'name' | 'uri' | 'pool'>,
  bundle: SiteBundle,
  claim: BundleClaim,
  transfer: { isoBytes: number; offset: number | null },
): string {
  return hypervisorScript({
    variables: {
      ...placeVariables(hypervisor, bundle, claim),
      isoBytes: transfer.isoBytes,
      offset: transfer.offset ?? '',
    },
    functions: [CLAIM_BUNDLE, PUBLISH_BUNDLE, RECEIVE_MAIN],
    readFrom: 'argument',
  });
}

function placeVariables(
  hypervisor: Pick<Hypervisor, 'name' | 'uri' | 'pool'>,
  bundle: SiteBundle,
  { site, stampId }: BundleClaim,
): Record<string, ShellValue> {
  return { ...hypervisorVariables(hypervisor), site, stamp: stampId, ...bundleVariables(bundle) };
}

export function bundleVariables(bundle: SiteBundle | null): Record<string, ShellValue> {
  return {
    bundleId: bundle?.id ?? '',
    bundleSha256: bundle?.isoSha256 ?? '',
    bundleName: bundle === null ? '' : bundleImageName(bundle.id),
  };
}

/** Claims of this state on the bundles of a pool, and what nobody needs. `$domains` is set by the caller. */
export const REMOVE_UNUSED_BUNDLES = `
give_up_bundles() { rm -f "$poolDirectory"/.sitewright-bundle-*.iso."$site"."$stamp"; }

remove_unused_bundles() {
  local domain file used=''
  for domain in $domains; do
    used+=$(vir domblklist "$domain" 2>/dev/null; vir domblklist "$domain" --inactive 2>/dev/null) || true
  done
  for file in "$poolDirectory"/sitewright-bundle-*.iso; do
    [ -e "$file" ] || continue
    if compgen -G "$poolDirectory/.\${file##*/}.*" >/dev/null; then continue; fi
    case $used in
      *"$file"*) ;;
      *) step "removes $file"; rm -f "$file" "$file.partial" ;;
    esac
  done
}
`;

const CLAIM_BUNDLE = `
claim_bundle() {
  local claim
  for claim in "$poolDirectory"/.sitewright-bundle-*.iso."$site"."$stamp"; do
    if [ "$claim" != "$poolDirectory/.$bundleName.$site.$stamp" ]; then rm -f "$claim"; fi
  done
  : >"$poolDirectory/.$bundleName.$site.$stamp"
}
`;

const PUBLISH_BUNDLE = `
publish_bundle() {
  local target=$poolDirectory/$bundleName actual
  step "checks the bundle in pool $pool"
  actual=$(sha256sum <"$target.partial")
  if [ "\${actual%% *}" != "$bundleSha256" ]; then
    rm -f "$target.partial"
    fail "$hypervisor: the image of the bundle $bundleId has the sha256 \${actual%% *} and not $bundleSha256: it was changed or damaged; build the bundle again"
  fi
  chmod 644 "$target.partial"
  attempt 'write the bundle to disk' sync "$target.partial"
  mv -f "$target.partial" "$target"
}
`;

/** Seconds between two lines that tell how far a copy is. */
const PROGRESS_SECONDS = 10;

/** `store_bundle` is also part of a machine's script: a bundle that somebody removed comes back when a machine needs it. */
export const STORE_BUNDLE_FROM_CACHE = `
${PUBLISH_BUNDLE.trim()}

store_bundle() {
  local target=$poolDirectory/$bundleName image=$SITEWRIGHT_CACHE/bundles/$bundleId.iso size ticker code=0
  if [ -e "$target" ]; then return 0; fi
  rm -f "$target.partial"
  [ -r "$image" ] || fail "$hypervisor: the bundle $bundleId is not in the cache of this machine: $image is not there; build the bundle again"
  size=$(stat -L -c %s "$image")
  [ "$size" -le "$(free_bytes "$poolDirectory")" ] ||
    fail "$hypervisor: storage pool $pool is full: the bundle needs $(human "$size"), $(human "$(free_bytes "$poolDirectory")") are free in $poolDirectory"
  step "copies the bundle ($(human "$size")) into pool $pool"
  (
    while sleep ${PROGRESS_SECONDS} >/dev/null 2>&1; do
      step "copies the bundle into pool $pool: $(human "$(stat -c %s "$target.partial")") of $(human "$size")"
    done
  ) 9<&- &
  ticker=$!
  cp --sparse=always --reflink=auto -- "$image" "$target.partial" || code=$?
  kill "$ticker"
  wait "$ticker" || true
  if [ "$code" != 0 ]; then
    rm -f "$target.partial"
    fail "$hypervisor: could not copy the bundle $image to $target.partial"
  fi
  publish_bundle
}
`;

/** Only the agent of the engine brings a bundle to a hypervisor behind SSH. */
export const STORE_BUNDLE_OVER_SSH = `
store_bundle() {
  [ -e "$poolDirectory/$bundleName" ] ||
    fail "$hypervisor: $poolDirectory/$bundleName was removed, and the disk of the bundle is made of it; put it there again: it is bundles/$bundleId.iso of the cache of the machine that runs sitewright"
}
`;

const PLACE_MAIN = `
main() {
  require_libvirt
  inspect_pool "$pool"
  stop_on_problems
  lock_pool "$poolDirectory"
  claim_bundle
  store_bundle
  vir pool-refresh "$pool" >/dev/null 2>&1 || true
}
`;

/** Nothing is locked while bytes arrive: the rest of an interrupted run would hold the pool until its connection dies. */
const RECEIVE_MAIN = `
exec 8<&0

main() {
  local target have=0 free
  require_libvirt
  inspect_pool "$pool"
  stop_on_problems
  target=$poolDirectory/$bundleName
  if [ -z "$offset" ]; then
    lock_pool "$poolDirectory"
    claim_bundle
    if [ -e "$target" ]; then printf '{"complete":true}\\n'; return 0; fi
    if [ -e "$target.partial" ]; then have=$(stat -c %s "$target.partial"); fi
    if [ "$have" -gt "$isoBytes" ]; then rm -f "$target.partial"; have=0; fi
    free=$(free_bytes "$poolDirectory")
    [ $((isoBytes - have)) -le "$free" ] ||
      fail "$hypervisor: storage pool $pool is full: the bundle needs $(human $((isoBytes - have))), $(human "$free") are free in $poolDirectory"
    printf '{"offset":%s}\\n' "$have"
    return 0
  fi
  attempt 'go on with the bundle' truncate -s "$offset" "$target.partial"
  cat <&8 >>"$target.partial" || fail "$hypervisor: could not write $target.partial"
  have=$(stat -c %s "$target.partial")
  [ "$have" -ge "$isoBytes" ] || fail "$hypervisor: $(human "$have") of $(human "$isoBytes") of the bundle arrived"
  lock_pool "$poolDirectory"
  publish_bundle
  vir pool-refresh "$pool" >/dev/null 2>&1 || true
  printf '{"complete":true}\\n'
}
`;
