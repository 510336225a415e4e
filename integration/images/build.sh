#!/usr/bin/env bash
# Makes the images of the test servers, under the official images' names. Where a registry answers, the
# official image is pulled; where none does, a stand-in is built from Debian's packages, with an entry
# point that honours the official one's variables. Images that are there already are left alone.
set -euo pipefail
cd "$(dirname "$0")"

have() { docker image inspect "$1" >/dev/null 2>&1; }

# recipe FOLDER [ARG…]: a hash of what a stand-in is built from. It is a label of the image, so that an
# old stand-in is built again when its recipe changes.
recipe() { (cat "$1"/*; echo "${@:2}") | sha256sum | cut -c1-16; }

# current NAME RECIPE: whether the image is there: the official one (it has a digest of its registry), or
# a stand-in of this recipe.
current() {
  [ "$(docker image inspect --format '{{if .RepoDigests}}official{{else}}{{index .Config.Labels "switchback.recipe"}}{{end}}' "$1" 2>/dev/null)" = "$2" ] ||
    [ "$(docker image inspect --format '{{if .RepoDigests}}official{{end}}' "$1" 2>/dev/null)" = official ]
}

# registry: whether images can be pulled. Asked once, with little patience.
registry=""
can_pull() {
  if [ -z "$registry" ]; then
    if timeout 20 docker pull --quiet hello-world >/dev/null 2>&1; then registry=yes; else registry=no; fi
  fi
  [ "$registry" = yes ]
}

# tools: installs what makes a base, once for both lines below.
tools() (
  flock 9
  command -v mmdebstrap >/dev/null && return
  apt-get update -qq && apt-get install -y -qq --no-install-recommends mmdebstrap >/dev/null 2>&1
) 9<build.sh

# base SUITE: imports debian:SUITE-slim, made with the mirror that apt on this machine uses.
base() {
  local suite=$1
  have "debian:$suite-slim" && return
  tools
  local mirror
  mirror=$(apt-get indextargets --format '$(URI)' 2>/dev/null | grep -o '^https\?://.*/debian/\?' | grep -v security | sort | uniq -c | sort -rn | awk 'NR==1 {print $2}')
  [ -n "$mirror" ] || { echo "no Debian mirror in apt's sources" >&2; return 1; }
  local tar
  tar=$(mktemp --suffix .tar)
  # A mirror that lags behind is good enough for tests. Nobody reads manuals there, nor is an image that a power cut spoils missed:
  # dpkg waits for the disk after each file otherwise.
  mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$suite" "$tar" "$mirror"
  docker import "$tar" "debian:$suite-slim" >/dev/null
  rm -f "$tar"
}

# image NAME FOLDER SUITE [ARG…]: pulls the image, or builds the stand-in.
image() {
  local name=$1 folder=$2 suite=$3
  shift 3
  local recipe
  recipe=$(recipe "$folder" "$suite" "$@")
  if current "$name" "$recipe"; then echo "  $name is there"; return; fi
  if can_pull && docker pull --quiet "$name" >/dev/null; then echo "  $name pulled"; return; fi
  base "$suite"
  local started=$SECONDS
  local args=() log
  log=$(mktemp)
  for a in "$@"; do args+=(--build-arg "$a"); done
  DOCKER_BUILDKIT=0 docker build --quiet --network host --label "switchback.recipe=$recipe" --build-arg "SUITE=$suite" ${args[@]+"${args[@]}"} -t "$name" "$folder" >/dev/null 2>"$log" || { cat "$log" >&2; return 1; }
  echo "  $name built in $((SECONDS - started)) s"
}

# Two at a time. What shares a Debian base is in one line, so that no base is made twice.
stable() {
  image postgres:17 postgres trixie VERSION=17
  image mariadb:11.8 mariadb trixie
  image nginx:1 nginx trixie
  image quay.io/coreos/etcd:v3.5 etcd trixie
}
others() {
  image mysql:9 mysql sid
  image postgres:18 postgres sid VERSION=18
  image postgres:15 postgres bookworm VERSION=15
  image mariadb:10.11 mariadb bookworm
}
stable &
line=$!
others
wait "$line"
