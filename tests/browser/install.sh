#!/usr/bin/env bash
# A browser for tests/browser, from Debian's packages. Without it, or without root, those tests are skipped and say so.
set -euo pipefail
command -v chromium chromium-browser google-chrome > /dev/null && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "tests/browser: no Chromium, and not root on Debian: its tests will be skipped"
    exit 0
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core > /dev/null
