#!/usr/bin/env bash
# chart.sh VERSION FILE packs the Helm chart inside the Go module
# github.com/cilium/cilium at VERSION into FILE, always with the same bytes.
set -euo pipefail
version=$1 file=$(realpath -m "$2")
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
dir=$(go mod download -json "github.com/cilium/cilium@$version" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",*$/\1/p') || true
if [[ ! -f $dir/install/kubernetes/cilium/Chart.yaml ]]; then
  echo "error: no chart in github.com/cilium/cilium@$version: is the Go module proxy reachable (go env GOPROXY)?" >&2
  exit 1
fi
tar --sort=name --mtime='2000-01-01 00:00Z' --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
  -C "$dir/install/kubernetes" -cf - cilium | gzip -9n >chart.tgz
# Another version's chart must not be embedded beside it.
rm -f "$(dirname "$file")"/*.tgz
mv chart.tgz "$file"
