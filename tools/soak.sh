#!/usr/bin/env bash
# Runs every fuzz target for SOAKTIME, every property test with many cases, and the
# simulations at their full length, and says how long each took.
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}
time=${SOAKTIME:-1m}
failed=0

run() { # run NAME COMMAND...
  local name=$1 start=$SECONDS
  shift
  if "$@" </dev/null; then echo "soak: ok   $name $((SECONDS - start)) s"; else
    echo "soak: FAIL $name $((SECONDS - start)) s"
    failed=1
  fi
}

run "killed at every request" env REMEDIATE_SOAK=1 "$go" test -count=1 -timeout 60m -run '^TestCrash' ./remediate
run "detection in simulated clusters" env REMEDIATE_SOAK=1 "$go" test -count=1 -timeout 120m ./detect/confirm

run "stories with a leader that is killed" env REMEDIATE_SOAK=1 REMEDIATE_KILLS="${REMEDIATE_KILLS:-100}" "$go" test -count=1 -timeout 120m -run '^TestStories$' ./remediate/controller/storytest

packages=$("$go" list -f '{{.ImportPath}} {{join .TestImports " "}} {{join .XTestImports " "}}' ./...)

while read -r package imports; do
  if [[ " $imports " == *" pgregory.net/rapid "* ]]; then
    run "$package properties" "$go" test -count=1 -timeout 60m "$package" -rapid.checks="${SOAKCHECKS:-2000}"
  fi
  mapfile -t targets < <("$go" test -list '^Fuzz' "$package" | grep '^Fuzz' || true)
  for target in "${targets[@]}"; do
    run "$package $target" "$go" test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 10x "$package"
  done
done <<<"$packages"
exit "$failed"
