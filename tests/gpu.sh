#!/bin/sh
# What a GPU must pass: the contract on it, bit for bit, then every test that runs on adapters. Says how
# long it took at the end: about two minutes on a data-centre card beside 16 cores, once it is built.
#
#     bash tests/gpu.sh                 # the best adapter there is, which has to be a GPU
#     bash tests/gpu.sh vulkan:nvidia   # one by its name; a software driver too
#     bash tests/gpu.sh gpu train::     # some of the tests: arguments after the adapter go to them
set -eu
cd "$(dirname "$0")/.."
device="${1:-gpu}"
[ $# -eq 0 ] || shift
start=$(date +%s)
# Where a container's NVIDIA driver is, if the loader does not look there.
icd=/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json
if [ -z "${VK_DRIVER_FILES:-}" ] && [ -f "$icd" ]; then
    export VK_DRIVER_FILES="$icd"
fi
# Where nobody can put a socket for EGL to connect to.
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-/dev/null}"
cargo build --release --bin fanin
cargo test --release --test all --no-run
built=$(date +%s)
target/release/fanin devices
if [ "$device" = gpu ] && ! target/release/fanin devices --json | grep -q '"chosen_by_auto": *true'; then
    echo "no GPU here: it needs its Vulkan driver; or name an adapter" >&2
    exit 1
fi
target/release/fanin verify --device "$device"
# The browser and the oldest compiler have nothing to do with the card; what is left out may still be asked
# for by tests/run.sh.
export FANIN_TEST_DEVICES="$device" FANIN_TEST_CHROMIUM=none
status=0
cargo test --release --test all -- --skip msrv --skip chromium "$@" || status=$?
end=$(date +%s)
echo "$device: $((end - built)) s, and $((built - start)) s to build; $([ $status = 0 ] && echo passed || echo FAILED)"
exit $status
