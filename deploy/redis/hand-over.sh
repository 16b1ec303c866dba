#!/bin/sh
# Before a server of a Redis Cluster stops: a master has one of its replicas take over, which loses nothing, where its death
# would lose the newest writes and take seconds to be noticed. A replica, and a master without one, just stops.
# REDISCLI_AUTH is the password, if there is one.
set -eu
port=${REDIS_PORT:-6379}

role() {
  redis-cli -h "$1" -p "$2" info replication | tr -d '\r' | sed -n 's/^role://p'
}

[ "$(role 127.0.0.1 "$port")" = master ] || exit 0
# slave0:ip=10.0.0.2,port=6379,state=online,offset=42,lag=0
replica=$(redis-cli -p "$port" info replication | tr -d '\r' |
  sed -n 's/^slave[0-9]*:ip=\([^,]*\),port=\([0-9]*\),state=online.*/\1 \2/p' | head -n 1)
[ -n "$replica" ] || exit 0
host=${replica% *}
redis-cli -h "$host" -p "${replica#* }" cluster failover >/dev/null

tries=0
until [ "$(role 127.0.0.1 "$port")" = slave ]; do
  tries=$((tries + 1))
  [ "$tries" -lt 20 ] || exit 0
  sleep 1
done
