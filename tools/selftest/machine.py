# SPDX-License-Identifier: GPL-2.0
"""The QEMU machine: its knobs and the command line that they make."""

import dataclasses
import os
import re
import shutil


class Unavailable(Exception):
    """What a machine needs is not there: its row fails."""


@dataclasses.dataclass
class Machine:
    """A QEMU "virt" machine with devices that use every kind of interrupt."""

    aia: str = "aplic-imsic"
    guest_files: int = 3
    smp: int = 2
    sockets: int = 1
    mem: str = "1G"
    cpu: str = "rv64,h=true"
    qemu: str = ""
    # More options for -machine, and more arguments.
    virt: str = ""
    extra: tuple = ()

    def check(self):
        """Refuses what QEMU would refuse with a worse message, or take."""
        if self.aia not in ("aplic-imsic", "aplic", "none"):
            raise ValueError(f"AIA={self.aia}: aplic-imsic, aplic or none")
        if not 0 <= self.guest_files <= 7:
            raise ValueError(f"GUEST_FILES={self.guest_files}: 0 to 7")
        if not 1 <= self.smp <= 64:
            raise ValueError(f"SMP={self.smp}: 1 to 64")
        if not 1 <= self.sockets <= 4 or self.smp % self.sockets:
            raise ValueError(
                f"SOCKETS={self.sockets}: 1 to 4, and SMP={self.smp} "
                "must be a multiple of it")
        if not re.fullmatch(r"[1-9][0-9]*[MG]", self.mem):
            raise ValueError(f"MEM={self.mem}: a number and M or G")

    def binary(self):
        """The QEMU program; "bpo" is the newer one, where there is one."""
        name = self.qemu or "qemu-system-riscv64"
        if name == "bpo":
            name = "qemu-system-riscv64-bpo"
        path = shutil.which(name)
        if not path:
            raise Unavailable(f"no {name}")
        return path

    def command(self, *boot):
        """The arguments of QEMU, with what to boot, without the console."""
        self.check()
        virt = f"virt,aia={self.aia}"
        if self.aia == "aplic-imsic":
            virt += f",aia-guests={self.guest_files}"
        if self.virt:
            virt += "," + self.virt
        smp = str(self.smp)
        numa = []
        if self.sockets > 1:
            smp += f",sockets={self.sockets}"
            unit = self.mem[-1]
            size = int(self.mem[:-1]) * (1024 if unit == "G" else 1)
            cpus = self.smp // self.sockets
            for node in range(self.sockets):
                first = node * cpus
                numa += [
                    "-object",
                    f"memory-backend-ram,id=mem{node},"
                    f"size={size // self.sockets}M",
                    "-numa",
                    f"node,nodeid={node},memdev=mem{node},"
                    f"cpus={first}-{first + cpus - 1}",
                ]
        return [
            self.binary(), "-M", virt, "-cpu", self.cpu, "-smp", smp,
            "-m", self.mem, *numa, "-nodefaults", "-display", "none",
            "-no-reboot", *boot,
            # MSI-X with a few vectors, and with one per CPU.
            "-device", "virtio-rng-pci",
            "-blockdev",
            "driver=null-co,node-name=null,size=67108864,read-zeroes=on",
            "-device", f"virtio-blk-pci,drive=null,num-queues={self.smp}",
            *self.extra,
        ]


def processors():
    """How many of the host's processors machines may want at once, without
    spoiling what tests measure."""
    return os.cpu_count() or 1
