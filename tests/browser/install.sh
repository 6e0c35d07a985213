#!/usr/bin/env bash
# A browser and a reverse proxy for tests/browser, from Debian's packages. Without one of them, or without root, the
# tests that need it are skipped and say so.
set -euo pipefail
export PATH="$PATH:/usr/sbin"
wanted=()
command -v chromium chromium-browser google-chrome > /dev/null || wanted+=(chromium fonts-dejavu-core)
command -v nginx > /dev/null || wanted+=(nginx-light)
[ ${#wanted[@]} = 0 ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "tests/browser: no ${wanted[*]}, and not root on Debian: tests will be skipped"
    exit 0
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" > /dev/null
