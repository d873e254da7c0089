#!/bin/sh
# Runs the tests, and first installs what they need on Debian or Ubuntu: Mesa's software Vulkan and
# GL drivers, and Debian's chromium, in which shaders are compiled as browsers do, and whose SwiftShader
# is a second software Vulkan. Arguments go to `cargo test`.
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

if ! command -v chromium >/dev/null 2>&1; then
    as_root apt-get update -qq
    # Ubuntu's is no package but a snap.
    if apt-cache show chromium-common >/dev/null 2>&1; then
        echo "installing chromium"
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
            chromium
    fi
fi
if command -v chromium >/dev/null 2>&1; then
    browser=chromium
else
    browser=none
    echo "this distribution has no package of chromium: the tests go without a browser"
fi
icd=/usr/lib/chromium/vk_swiftshader_icd.json
if [ -e "$icd" ]; then
    export VK_ADD_DRIVER_FILES="$icd"
    devices="$devices,vulkan:swiftshader"
else
    echo "this distribution's chromium has no SwiftShader: the tests go without it"
fi

# What the tests must find; without this they take whatever adapters are there, at least one.
export FANIN_TEST_DEVICES="${FANIN_TEST_DEVICES:-$devices}"
export FANIN_TEST_CHROMIUM="${FANIN_TEST_CHROMIUM:-$browser}"
# Where nobody can put a socket for EGL to connect to.
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/dev/null}"
echo "testing on the CPU and on $FANIN_TEST_DEVICES, in the browser $FANIN_TEST_CHROMIUM"
exec cargo test --release "$@"
