# shellcheck shell=bash
# The virtual machine of scripts/test-v4l2: started, saved, restored, entered. Read by it; $cache is the image's folder.
cache=${cache:?the folder of the image}
machine_pid=""
machine_port=""

guest() {
    ssh -q -i "$cache/key" -p "$machine_port" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
        -o ConnectTimeout=5 -o BatchMode=yes root@127.0.0.1 "$@"
}

ssh_key() { [ -f "$cache/key" ] || ssh-keygen -q -t ed25519 -N '' -C edged-test-v4l2 -f "$cache/key"; }

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

new_disk() { # what the machine writes, and its snapshot, lie over the image
    rm -f "$cache/disk.qcow2"
    qemu-img create -q -f qcow2 -b "$cache/image.qcow2" -F qcow2 "$cache/disk.qcow2"
}

# A snapshot is restored into the same devices only: everything but the port is the same in every start.
# The accelerator is named: on machines that are virtual themselves KVM may be there and not run a kernel.
start_machine() {
    machine_port=$(free_port)
    rm -f "$cache/monitor"
    nice -n 5 qemu-system-x86_64 -M q35 -accel tcg,thread=multi -cpu max -smp 2 -m 1536 -nodefaults -display none \
        -no-reboot -serial "file:$cache/console.log" -monitor "unix:$cache/monitor,server,nowait" \
        -kernel "$cache/kernel" -initrd "$cache/initrd" -append "root=/dev/vda rw console=ttyS0 quiet mitigations=off" \
        -drive "file=$cache/disk.qcow2,format=qcow2,if=virtio" \
        -object rng-random,id=random,filename=/dev/urandom -device virtio-rng-pci,rng=random \
        -netdev "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:$machine_port-:22" -device virtio-net-pci,netdev=net \
        -virtfs "local,path=$PWD,mount_tag=tree,security_model=none,readonly=on,multidevs=remap" \
        "$@" 9>&- 2>"$cache/machine.log" &
    machine_pid=$!
    trap stop_machine EXIT
}

stop_machine() {
    [ -n "$machine_pid" ] || return 0
    kill "$machine_pid" 2>/dev/null || true
    wait "$machine_pid" 2>/dev/null || true
    machine_pid=""
}

guest_is_up() {
    for _ in $(seq 600); do
        if guest true </dev/null; then
            guest systemctl is-system-running --wait >/dev/null </dev/null || true
            return 0
        fi
        kill -0 "$machine_pid" 2>/dev/null || fail "the machine ended: $(cat "$cache/machine.log")"
        sleep 0.2
    done
    fail "the machine does not answer; its console is in $cache/console.log"
}

load_cameras() {
    guest 'modprobe -a vivid v4l2loopback 9p 9pnet_virtio && udevadm settle && ls -l /dev/video* /dev/v4l/by-*/ && sync' >&2
}

save_machine() { # the monitor's prompt comes back when the snapshot is on disk
    python3 - "$cache/monitor" <<'P'
import socket
import sys

monitor = socket.socket(socket.AF_UNIX)
monitor.settimeout(300)
monitor.connect(sys.argv[1])


def said() -> str:
    text = b""
    while not text.rstrip().endswith(b"(qemu)"):
        part = monitor.recv(65536)
        if not part:
            sys.exit("the machine ended while it was saved")
        text += part
    return text.decode(errors="replace")


said()
monitor.sendall(b"savevm ready\n")
answer = said()
if "Error" in answer:
    sys.exit(answer)
P
}

enter_tree() { # its clock stood still while it was saved
    guest "date --set=@$(date +%s) >/dev/null && mkdir -p '$PWD' &&
        mount -t 9p -o trans=virtio,version=9p2000.L,msize=1048576,cache=loose,ro tree '$PWD'" </dev/null
}

run_pytest() { # every plug-in that is not needed is seconds of an emulated processor
    local site words
    site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
    [ "$#" -gt 0 ] || set -- tests/v4l2
    words=$(printf ' %q' "$@")
    guest "cd '$PWD' && env EDGED_TEST_V4L2=1 LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH='$PWD:$PWD/sdk:$site' \
        PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 python3 -m pytest -p pytest_asyncio.plugin -p pytest_timeout --timeout 180 \
        --tb short --verbose --durations 5$words" </dev/null
}
