#!/bin/sh
# Makes one Redis Cluster of the servers in CLUSTER_SERVERS (host:port, separated by spaces): masters first, then their
# replicas, CLUSTER_REPLICAS of each. Resolves when the cluster serves all slots. Run it again whenever servers may have new
# addresses: what exists is left as it is. REDISCLI_AUTH is the password, if there is one.
set -eu
: "${CLUSTER_SERVERS:?name the servers: host:port host:port ...}"

ask() { # <address> <command...>
  address=$1
  shift
  redis-cli -h "${address%:*}" -p "${address##*:}" "$@"
}

# Servers introduce each other by IP address: a cluster takes no names for that.
addresses=
for server in $CLUSTER_SERVERS; do
  ip=$(getent hosts "${server%:*}" | awk '{ print $1; exit }')
  [ -n "$ip" ] || { echo "cannot resolve ${server%:*}" >&2; exit 1; }
  until [ "$(ask "$ip:${server##*:}" ping 2>/dev/null)" = PONG ]; do sleep 1; done
  addresses="$addresses $ip:${server##*:}"
done
# shellcheck disable=SC2086
set -- $addresses
first=$1

if ask "$first" cluster info | grep -q '^cluster_slots_assigned:16384'; then
  shift
  for other in "$@"; do ask "$first" cluster meet "${other%:*}" "${other##*:}" >/dev/null; done
else
  redis-cli --cluster create "$@" --cluster-replicas "${CLUSTER_REPLICAS:-1}" --cluster-yes
fi

until ask "$first" cluster info | grep -q '^cluster_state:ok'; do sleep 1; done
echo 'the cluster serves all slots'
