import { bash } from '../../nodes/bash';

/**
 * The name of the API in /etc/hosts, in a block of its own. Node preparation does not write it, because that runs before
 * the proof of the network: a name that already led to a virtual address which nobody holds yet would take the API away
 * from a living cluster, for minutes or, where the proof fails, for good.
 */
export const ENDPOINT = bash`
API_HOSTS_BEGIN='# BEGIN sitewright api'
API_HOSTS_END='# END sitewright api'

# Before everything else of the kit in the file, where node preparation leaves it.
endpoint_apply() {
  local hosts line kept='' block='' inside=no placed=no
  [ -z "$ENDPOINT_HOSTS_LINE" ] || block=$API_HOSTS_BEGIN$'\n'$ENDPOINT_HOSTS_LINE$'\n'$API_HOSTS_END$'\n'
  slurp hosts /etc/hosts
  while IFS= read -r line; do
    [ "$line" != "$API_HOSTS_BEGIN" ] || inside=yes
    if [ "$line" = '# BEGIN sitewright' ] && [ "$placed" = no ]; then
      kept+=$block placed=yes
      # A block that lost its end is taken up to here.
      inside=no
    fi
    [ "$inside" = yes ] || kept+=$line$'\n'
    [ "$line" != "$API_HOSTS_END" ] || inside=no
  done <<<"\${hosts%$'\n'}"
  [ "$placed" = yes ] || kept+=$block
  [ "$kept" = "$hosts" ] || step "$ENDPOINT_NAME in /etc/hosts"
  write_file /etc/hosts 0644 "$kept"
  # A load balancer can only be seen to answer when there is an API server behind it; that its name leads anywhere can be
  # seen before anything is made.
  getent hosts "$ENDPOINT_NAME" >/dev/null ||
    refuse "$ENDPOINT_NAME, the name of the API, does not resolve on this node: add it to the site's DNS, or write the address of the load balancer as kubernetes.endpoint.host"
}
`;
