#!/bin/sh
# Runs the tests, and first installs what they need on Debian or Ubuntu: Mesa's software Vulkan and
# GL drivers, and SwiftShader, a second software Vulkan, out of Debian's chromium.
# Arguments go to `cargo test`.
set -eu
cd "$(dirname "$0")/.."
# Debian keeps ldconfig where a plain user's path does not look.
PATH="$PATH:/usr/sbin:/sbin"

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Mesa's manifests have the architecture in their name on some distributions.
if ! ls /usr/share/vulkan/icd.d/lvp_icd*.json >/dev/null 2>&1 ||
    ! ldconfig -p | grep -q libvulkan.so.1 || ! ldconfig -p | grep -q libEGL.so.1; then
    echo "installing Mesa's software drivers"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        mesa-vulkan-drivers libvulkan1 libegl1 libgl1-mesa-dri
fi
devices="vulkan:llvmpipe,gl:llvmpipe"

# One library of chromium's is all that is wanted, so the package is unpacked, not installed.
swiftshader=target/swiftshader
icd=$(ls /usr/lib/chromium/vk_swiftshader_icd.json \
    "$swiftshader/usr/lib/chromium/vk_swiftshader_icd.json" 2>/dev/null | head -n 1)
if [ -z "$icd" ]; then
    echo "fetching SwiftShader"
    mkdir -p "$swiftshader"
    as_root apt-get update -qq
    if (cd "$swiftshader" && apt-get download -qq chromium-common && dpkg-deb -x chromium-common_*.deb . && rm -f chromium-common_*.deb); then
        icd=$(ls "$swiftshader/usr/lib/chromium/vk_swiftshader_icd.json" 2>/dev/null || true)
    fi
fi
if [ -n "$icd" ]; then
    VK_ADD_DRIVER_FILES=$(realpath "$icd")
    export VK_ADD_DRIVER_FILES
    devices="$devices,vulkan:swiftshader"
else
    echo "this distribution's chromium has no SwiftShader: the tests go without it"
fi

# What the tests must find; without this they take whatever adapters are there, at least one.
export FANIN_TEST_DEVICES="${FANIN_TEST_DEVICES:-$devices}"
# Where nobody can put a socket for EGL to connect to.
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/dev/null}"
echo "testing on the CPU and on $FANIN_TEST_DEVICES"
exec cargo test --release "$@"
