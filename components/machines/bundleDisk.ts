import { create } from 'xmlbuilder2';

/** The bundle as a disk of a domain. All machines of a hypervisor share one file, which nobody may write. */
const TARGET = 'vdd';

/** The file is known to the hypervisor only: the script puts it in for @bundleFile@. */
export const BUNDLE_DISK_XML = create({
  disk: {
    '@type': 'file',
    '@device': 'disk',
    driver: { '@name': 'qemu', '@type': 'raw' },
    source: { '@file': '@bundleFile@' },
    target: { '@dev': TARGET, '@bus': 'virtio' },
    readonly: {},
    shareable: {},
    serial: 'bundle',
  },
}).end({ prettyPrint: true, headless: true });

/** A guest answers the request to let go of a disk once it runs; an emulated one takes minutes to start. */
const UNPLUG_LIMIT_SECONDS = 300;

/**
 * Gives a machine the disk of its bundle, or another one, or none. The disk is no part of the domain's XML and of its
 * fingerprint, because another bundle needs no new definition and no restart: the disk is exchanged in the running machine.
 * The PCIe port is there: libvirt keeps one free for a domain that it defines, and a disk that goes leaves its own.
 */
export const BUNDLE_FUNCTIONS = `
# bundle_disk [--inactive]: the file of the bundle's disk, as the machine runs or starts the next time; or nothing.
bundle_disk() { vir domblklist "$domain" "$@" | awk '$1 == "${TARGET}" { print $2 }'; }

# Before the machine starts: with the disk of the bundle from its first moment on.
configure_bundle() {
  local earlier
  bundleFile=
  if [ -n "$bundleName" ]; then
    bundleFile=$poolDirectory/$bundleName
    store_bundle
  else
    give_up_bundles
  fi
  bundleDisk=\${bundleDisk//@bundleFile@/"$bundleFile"}
  bundleChanged=no
  earlier=$(bundle_disk --inactive)
  if [ "$earlier" = "$bundleFile" ]; then return 0; fi
  if [ -n "$earlier" ]; then
    bundleChanged=yes
    attempt "take the earlier bundle out of the definition of $machine" vir detach-disk "$domain" ${TARGET} --config
  fi
  if [ -n "$bundleFile" ]; then
    attempt "define the disk of the bundle of $machine" vir attach-device "$domain" /dev/stdin --config <<<"$bundleDisk"
  fi
}

# In the machine that runs. Not to be had at once is only a disk for which the machine has no free port.
exchange_bundle() {
  local earlier output
  if [ "$(vir domstate "$domain")" = 'shut off' ]; then return 0; fi
  earlier=$(bundle_disk)
  if [ "$earlier" = "$bundleFile" ]; then return 0; fi
  if [ -n "$earlier" ]; then
    bundleChanged=yes
    step "takes the earlier bundle from $machine"
    unplug_bundle
  fi
  if [ -n "$bundleFile" ]; then
    step "gives $machine the disk of the bundle"
    output=$(vir attach-device "$domain" /dev/stdin --live <<<"$bundleDisk" 2>&1) || case $output in
      *'No more available PCI slots'*)
        step "$machine has no free PCIe port: it has the disk of the bundle after a restart (a reboot from inside is not enough): virsh -c '$uri' shutdown $domain, then virsh -c '$uri' start $domain"
        ;;
      *) fail "$hypervisor: could not give $machine the disk of the bundle: $(printf '%s\\n' "$output" | sed '/^ *$/d' | tail -n 1)" ;;
    esac
  fi
}

# A guest that is starting does not hear the first request.
unplug_bundle() {
  local limit=$((SECONDS + ${UNPLUG_LIMIT_SECONDS}))
  until [ -z "$(bundle_disk)" ]; do
    [ "$SECONDS" -lt "$limit" ] ||
      fail "$hypervisor: $machine has not let go of the disk of the earlier bundle for ${UNPLUG_LIMIT_SECONDS / 60} minutes; it has the new one after a restart: virsh -c '$uri' destroy $domain, then virsh -c '$uri' start $domain"
    vir detach-disk "$domain" ${TARGET} --live >/dev/null 2>&1 || true
    if [ -n "$(bundle_disk)" ]; then sleep 1; fi
  done
}

# After the last machine has let go of it.
remove_earlier_bundles() {
  local domains
  if [ "$bundleChanged" = no ]; then return 0; fi
  domains=$(vir list --all --name) || fail "$hypervisor: libvirt does not list its domains"
  remove_unused_bundles
}
`;
