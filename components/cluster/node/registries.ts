import { bash } from '../../nodes/bash';

/** Registries of the site's own images: mirrors and authorities for containerd, log-ins for kubelet. */
export const REGISTRIES = bash`
registries_apply() {
  local index folder planned name
  [ "\${#REGISTRY_FOLDERS[@]}" -eq 0 ] || step 'registries'
  for index in "\${!REGISTRY_FOLDERS[@]}"; do
    folder=\${REGISTRY_FOLDERS[index]}
    # Before the file that names it.
    [ -z "\${REGISTRY_AUTHORITIES[index]}" ] || write_file "$folder/ca.crt" 0644 "\${REGISTRY_AUTHORITIES[index]}"
    write_file "$folder/hosts.toml" 0644 "\${REGISTRY_HOSTS[index]}"
    [ -n "\${REGISTRY_AUTHORITIES[index]}" ] || rm -f "$folder/ca.crt"
  done
  for folder in "$REGISTRY_FOLDER"/*/; do
    folder=\${folder%/} planned=no
    for name in "\${REGISTRY_FOLDERS[@]}"; do [ "$name" != "$folder" ] || planned=yes; done
    [ "$planned" = no ] || continue
    # What somebody else put there stays.
    slurp name "$folder/hosts.toml"
    [[ $name = *'Made by sitewright'* ]] || continue
    audit "$folder" 'of the kit' removed
    rm -f "$folder/hosts.toml" "$folder/ca.crt"
    rmdir "$folder" 2>/dev/null || true
  done
  if [ -n "$REGISTRY_LOGINS" ]; then
    write_secret "$REGISTRY_LOGINS_FILE" "$REGISTRY_LOGINS"
  elif [ -e "$REGISTRY_LOGINS_FILE" ]; then
    audit "$REGISTRY_LOGINS_FILE" present removed
    rm -f "$REGISTRY_LOGINS_FILE"
  fi
}
`;
