# SPDX-License-Identifier: GPL-2.0
"""The table of machines, and the tests that each of them runs."""

import dataclasses
import re
import typing

import acpi
import aplics
import client
import fence
import few_ids
import guest_trace
import image
import kexec
import linux_guest
import madt
import malformed
import powered
import skips
from machine import Machine

# Tests of the MSI side, on any machine with an IMSIC.
MSI = ["topology", "trigger", "ids", "moves", "stale", "hotplug",
       "debugfs", "ipi", "scftorture", "unmask_latency", "storm"]

# What programs make the drivers, genirq and KVM warn of.
WARNS = {
    "kvm-aia-faults": r"Failed to topup G-stage cache|VCPU exit error -12"
                      r"|SEPC=0x|SCAUSE=0x14 ",
    "stale": r"too many stray MSIs, ID \d+ is off",
    "wired": r"source \d+: there is no trigger 0x"
             r"|genirq: Setting trigger mode \d+ for irq \d+ failed",
}

# What only the Rust drivers promise.
EXACT = {"wired": "once=1", **{name: "exact=1" for name in (
    "topology", "moves", "stale", "hotplug", "unmask_latency", "storm",
    "crowded", "sequences")}}

# Harts with the AIA's CSRs; for machines without an IMSIC.
SSAIA = "rv64,h=true,ssaia=true,smaia=true"
# Harts for which KVM filters an interrupt by hvien: overflow of a counter.
SSCOFPMF = "rv64,h=true,sscofpmf=true"
# A PCI device with several interrupts by one message.
XHCI_MSIX = ("-device", "qemu-xhci,msi=off,msix=on")
XHCI = ("-device", "qemu-xhci,msi=on,msix=off")
# Harts with types of memory in page tables, also in those of guest files.
SVPBMT = "rv64,h=true,svpbmt=true"


# An exact APLIC forgets a level that falls before its hart has looked (AIA
# 4.7): these have lines that fall by themselves.
DIRECT_LEVELS = tuple(f"wired: {test}" for test in (
    "40 pulses of a level line .*", "levels while the line moves: .*",
    "hammered while it moves: .*", "CPU offline and back with pulses .*",
    "driver unbound and bound again"))


# Programs that keep one hart busy at most times, and do not care how fast.
CALM = {"malformed", "topology", "trigger", "show", "aplic_probe", "client",
        "kvm-aia-trace", "vmm-linux"}


@dataclasses.dataclass
class Row:
    """One boot: a machine, the tests it runs, the kernels it is for."""

    name: str
    machine: Machine
    tests: list
    impl: tuple = ("rust", "c")
    # Also part of a plain "make test", as a reference, on the C drivers.
    reference: bool = False
    # Runs KUnit, and so these suites at least.
    kunit: bool = False
    suites: tuple = ()
    args: dict = dataclasses.field(default_factory=dict)
    # Arguments for the drivers in Rust, of which more is wanted.
    rust_args: dict = dataclasses.field(default_factory=dict)
    append: str = ""
    # Guest files of each hart, if not as many as the machine has.
    files: typing.Optional[int] = None
    # Tests that it may skip, as patterns of "program: test", besides those for
    # which its machine lacks something (skips.py).
    skips: tuple = ()
    # A pattern of what the drivers have to warn of.
    warns: str = ""
    # NAME: the kernel that is changed as selftests/config.NAME says.
    kernel: str = ""
    # Takes too long for "make test": in "make test-long", and if it is asked
    # for by its whole name.
    long: bool = False
    # Seconds in all, and without a word.
    timeout: int = 300
    silence: int = 150
    # Boots it in another way: takes the row, kernel, initrd and log.
    boot: typing.Optional[typing.Callable] = None

    @property
    def processors(self):
        """How many of the host's it wants for itself."""
        return 1 if CALM.issuperset(self.tests) else self.machine.smp

    def for_impl(self, impl):
        """The row as it is for these drivers."""
        if impl != "rust":
            return self
        args = dict(self.args)
        for name, value in self.rust_args.items():
            args[name] = f"{args[name]};{value}" if name in args else value
        return dataclasses.replace(
            self, args=args, suites=kunit_suites() if self.kunit else ())

    def kernel_name(self, impl):
        """The kernel that it boots: build/kernel-NAME."""
        return f"{impl}-{self.kernel}" if self.kernel else impl


def kunit_suites():
    """The suites of our crates."""
    return tuple(name for path in (image.REPO / "rust").rglob("*.rs")
                 for name in re.findall(r"\bkunit_tests\((\w+)\)",
                                        path.read_text(encoding="utf-8")))


# Guest files, harts, sockets: each number once in "make test", and all of them
# in "make test-long".
SHORT_MATRIX = ((0, 1, 1), (0, 2, 1), (1, 1, 1), (1, 2, 1), (3, 2, 1),
                (3, 2, 2), (7, 1, 1), (7, 8, 2))


def matrix():
    """Guest files x harts x sockets: the tests that depend on these."""
    for guests in (0, 1, 3, 7):
        for smp, sockets in ((1, 1), (2, 1), (8, 1), (2, 2), (8, 2)):
            yield Row(
                f"matrix-g{guests}-h{smp}-s{sockets}",
                Machine(guest_files=guests, smp=smp, sockets=sockets,
                        cpu=SVPBMT if guests == 7 else Machine.cpu),
                ["topology", "trigger", "kvm-guestfile"],
                long=(guests, smp, sockets) not in SHORT_MATRIX)
    # Harts with fewer files than pages, of which there is a power of two.
    for guests in (2, 5):
        yield Row(f"matrix-g{guests}-h2-s1", Machine(guest_files=guests),
                  ["topology", "kvm-guestfile"])


def kvm():
    """KVM's interrupt controllers for guests."""
    tests = ["kvm-aia-device", "kvm-aia-emul", "kvm-aia-vcpu",
             "kvm-aia-aplic", "kvm-aia-extensions", "kvm-aia-hwaccel",
             "kvm-aia-race"]
    for name, machine in (
            ("g0-h2", Machine(smp=2, guest_files=0)),
            ("ssaia", Machine(smp=2, aia="aplic", cpu=SSAIA))):
        yield Row(f"kvm-{name}", machine, tests, timeout=900)
    for name, machine in (
            ("g1-h1", Machine(smp=1, guest_files=1)),
            ("g3-h4", Machine(smp=4, guest_files=3)),
            ("g7-h8-s2", Machine(smp=8, sockets=2, guest_files=7))):
        yield Row(f"kvm-{name}", machine, [*tests, "kvm-overcommit"],
                  long=machine.smp == 8, timeout=900)
    # Harts without the AIA, and guests that can be without it.
    for name, aia in (("noaia", "none"), ("noaia-aplic", "aplic")):
        yield Row(f"kvm-{name}", Machine(aia=aia), ["kvm-noaia"])
    # QEMU before 11.1 does not let KVM have its bit of hvien.
    yield Row("kvm-hvien", Machine(qemu="bpo", cpu=SSCOFPMF),
              ["kvm-aia-hvien", "kvm-aia-vcpu"], args={"kvm_hvien": 1})
    # What a vCPU need not have, and entropy, which its user mode must not.
    yield Row("kvm-smstateen",
              Machine(cpu="rv64,h=true,smstateen=true,zkr=true"),
              ["kvm-aia-device", "kvm-aia-vcpu"], args={"kvm_ssaia": 1})


def module():
    """KVM as a module, as distributions have it. kmemleak removes it first."""
    files = Machine(smp=4, guest_files=3)
    yield Row("module-files", files,
              ["kvm-module", "kvm-guestfile", "kvm-aia-hwaccel", "kvm-memcg",
               "kmemleak"],
              impl=("rust",), kernel="module", args={"kvm_rounds": 4},
              timeout=900)
    yield Row("module-g3-h4", files,
              ["kvm-module", "kvm-guestfile", "kvm-aia-device", "kvm-aia-emul",
               "kvm-aia-vcpu", "kvm-aia-aplic", "kvm-aia-extensions",
               "kvm-aia-hwaccel", "kvm-overcommit", "kvm-aia-race",
               "kvm-memcg", "kmemleak"],
              impl=("rust",), kernel="module", long=True, timeout=900)
    yield Row("module-ssaia", Machine(smp=2, aia="aplic", cpu=SSAIA),
              ["kvm-module", "kvm-aia-emul", "kvm-memcg", "kmemleak"],
              impl=("rust",), kernel="module", timeout=600)


def plain():
    """KVM as a module without EXPERT, in Rust all the same: the functions in C
    that it needs are its own."""
    yield Row("plain", Machine(smp=2),
              ["kvm-module", "topology", "kvm-guestfile", "kvm-aia-device"],
              impl=("rust",), kernel="plain", long=True, timeout=900)


def uniprocessor():
    """A kernel for one CPU; of a machine with two, that is any hart's."""
    def row(name, machine, tests, **fields):
        return Row(f"up-{name}", machine, tests, impl=("rust",), kernel="up",
                   long=True, timeout=900, **fields)

    yield row("msi", Machine(smp=1),
              ["topology", "trigger", "ids", "storm", "show"],
              args={"storm": "count=20000"})
    yield row("wired", Machine(smp=1), ["wired"])
    yield row("direct", Machine(smp=1, aia="aplic"), ["topology", "wired"])
    yield row("h2", Machine(smp=2), ["topology", "trigger"],
              args={"topology": f"guests={Machine.guest_files};cpus=1"})
    yield row("kvm", Machine(smp=1),
              ["kvm-guestfile", "kvm-aia-device", "kvm-aia-vcpu"])


def small():
    """A kernel with little in it, as for a board."""
    # There is no PCI; topology wants a message of such a device.
    skips = ("trigger: PCI MSI-X: .*",)
    for name, machine, tests in (
            ("msi", Machine(smp=2), ["trigger", "ids", "moves"]),
            ("direct", Machine(smp=2, aia="aplic"), ["topology", "wired"])):
        yield Row(f"small-{name}", machine, tests, impl=("rust",),
                  kernel="small", long=True, timeout=900, skips=skips)


def scale():
    """Endurance of KVM's interrupt controllers, and many vCPUs."""
    tests = ["kvm-aia-scale"]
    four = Machine(smp=4, guest_files=3)
    for name, machine, long in (
            ("g0-h2", Machine(smp=2, guest_files=0), False),
            ("g1-h2", Machine(smp=2, guest_files=1), True),
            ("g3-h4", four, False),
            ("g7-h8-s2", Machine(smp=8, sockets=2, guest_files=7), True)):
        yield Row(f"kvm-scale-{name}", machine, tests, long=long, timeout=900)
    # Without KCOV it learns from answers only, but does several times as much.
    yield Row("kvm-fuzz", four, ["kvm-aia-fuzz"],
              args={"kvm_fuzz_seconds": 120}, long=True, timeout=900)
    yield Row("kvm-million", four, tests, args={"kvm_aia_scale": 1000000},
              long=True, timeout=2400)


def debug(name, machine, tests, **fields):
    """A row for the debug kernel, which shares no object with others and takes
    several times as long. Memory takes time too: kmemleak looks at all of
    KASAN's shadow of it."""
    machine = dataclasses.replace(machine, mem="512M")
    return Row(f"debug-{name}", machine, [*tests, "kmemleak"], impl=("rust",),
               kernel="debug", long=True, silence=400, **fields)


def realtime():
    """PREEMPT_RT: what spins, and what sleeps, is told apart for real."""
    for name, machine, tests in (
            # Not moves: for a handler's thread two interrupts may be one.
            ("msi", Machine(smp=2), ["topology", "trigger", "hotplug"]),
            ("direct", Machine(smp=2, aia="aplic"), ["topology", "wired"]),
            ("files", Machine(smp=2),
             ["kvm-guestfile", "kvm-aia-vcpu", "kvm-aia-hwaccel"]),
            ("overcommit", Machine(smp=2), ["kvm-overcommit"]),
            ("kvm", Machine(smp=2, guest_files=0),
             ["kvm-aia-device", "kvm-aia-emul", "kvm-aia-aplic",
              "kvm-aia-extensions", "kvm-aia-hwaccel", "kvm-aia-race"])):
        # With 20 rounds one test of kvm-overcommit says nothing for too long.
        args = {"kvm_rounds": 4} if "kvm-overcommit" in tests else {}
        yield Row(f"rt-{name}", machine, tests, args=args, impl=("rust",),
                  kernel="rt", long=True, timeout=1200, silence=400)


def checked():
    """What the debug kernel has to say of every program: memory, locks and
    sleep in all paths, not endurance."""
    two = Machine(smp=2)
    yield debug("kunit", two, [], kunit=True, timeout=900)
    yield debug("moves", two, ["topology", "moves"],
                args={"moves": "untimed=1"}, timeout=1800)
    yield debug("msi", two, ["debugfs", "stale", "storm"],
                args={"storm": "count=3000", "debugfs": "rounds=100"},
                timeout=1800)
    yield debug("sequences", two, ["sequences"], timeout=1800)
    yield debug("irqs", Machine(smp=2, extra=XHCI),
                ["trigger", "ids", "ipi", "hotplug", "unmask_latency",
                 "isolated", "traced", "managed"],
                args={"ids": "rounds=50", "ipi": "count=200",
                      "hotplug": "rounds=2"}, timeout=1800)
    yield debug("multi", Machine(smp=2, extra=XHCI), ["multi"],
                args={"multi": "rounds=20"}, timeout=1800)
    yield debug("msix", Machine(smp=2, extra=XHCI_MSIX), ["msix"],
                timeout=1800)
    yield debug("power", Machine(smp=2, qemu="bpo"), ["power"], timeout=1800)
    yield debug("noipi", two, ["show", "deaf"],
                append="irqchip.riscv_imsic_noipi", timeout=1800)
    yield debug("wired-msi", two, ["wired"], timeout=900)
    yield debug("wired-direct", Machine(smp=2, aia="aplic"),
                ["topology", "scftorture", "wired"], timeout=900)
    yield debug("kvm", two, ["kvm-guestfile", "kvm-aia-device",
                             "kvm-aia-extensions"], timeout=1800)
    yield debug("kvm-overcommit", two, ["kvm-overcommit"],
                args={"kvm_rounds": 4}, timeout=1800)
    yield debug("kvm-emul", two, ["kvm-aia-emul", "kvm-aia-aplic"],
                timeout=900)
    yield debug("kvm-vcpu", two, ["kvm-aia-vcpu", "kvm-aia-scale"],
                args={"kvm_aia_scale": 2000}, timeout=1800)
    yield debug("bench", two, ["bench", "kvm-bench"], timeout=900)
    yield debug("faults", two, ["faults"], timeout=2400)
    yield debug("kvm-faults", two, ["kvm-aia-faults"], timeout=900)
    yield debug("kvm-races", two, ["kvm-aia-hwaccel", "kvm-aia-race"],
                args={"kvm_rounds": 8}, timeout=1800)
    # Ten minutes of it, and what is left of a guest file, or memory.
    yield debug("kvm-fuzz", two, ["kvm-aia-fuzz"],
                args={"kvm_fuzz_seconds": 600},
                # Machines come and go all the time, and wait for that.
                append="rcupdate.rcu_expedited=1", timeout=1800)
    yield debug("kvm-noaia", Machine(smp=2, aia="aplic"), ["kvm-noaia"],
                timeout=900)
    yield debug("kvm-hvien", Machine(smp=2, qemu="bpo", cpu=SSCOFPMF),
                ["kvm-aia-hvien"], args={"kvm_hvien": 1}, timeout=900)


def _tell(row):
    """Tells the programs of a row what they are to find, and the row what they
    do."""
    row.warns = "|".join([WARNS[name] for name in row.tests if name in WARNS]
                         + [row.warns] * bool(row.warns))
    row.rust_args = {name: EXACT[name] for name in row.tests
                     if name in EXACT} | {"kvm_aia_extensions": 1,
                                          "kvm_overcommit": 1,
                                          **row.rust_args}
    if skips.has_imsic(row):
        row.args = {"topology": f"guests={row.machine.guest_files}",
                    "kvm_files": skips.files(row), **row.args}


def table():
    """All rows."""
    rows = [
        Row("kunit", Machine(smp=4), [], kunit=True, reference=True),
        Row("show-imsic", Machine(smp=4), ["show"], reference=True),
        Row("show-direct", Machine(aia="aplic"), ["show"], reference=True),
        Row("show-plic", Machine(aia="none"), ["show"], reference=True),
        Row("show-ssaia", Machine(aia="aplic", cpu=SSAIA), ["show"]),
        *matrix(),
        Row("msi-h1", Machine(smp=1), MSI, timeout=600),
        Row("msi-h2", Machine(smp=2), MSI, timeout=600),
        Row("msi-h8-s2", Machine(smp=8, sockets=2, guest_files=7), MSI,
            long=True, timeout=900),
        # C stumbles over interrupts that are freed while they move.
        # C refuses several interrupts by one message.
        Row("isolated", Machine(smp=2, extra=XHCI),
            ["isolated", "traced", "multi"], impl=("rust",)),
        Row("multi-h8-s2", Machine(smp=8, sockets=2, extra=XHCI), ["multi"],
            args={"multi": "rounds=100"}, impl=("rust",), long=True,
            timeout=900),
        Row("managed", Machine(smp=4, extra=XHCI_MSIX), ["managed", "msix"],
            impl=("rust",)),
        Row("scale-h64-s4", Machine(smp=64, sockets=4),
            ["topology", "trigger", "ids", "ipi", "managed"],
            args={"trigger": "replays=1", "ids": "rounds=20",
                  "ipi": "count=20", "managed": "rounds=5"},
            # What the kernel measures at boot takes all harts minutes.
            append="unaligned_scalar_speed=fast unaligned_vector_speed=fast "
                   "watchdog_thresh=60",
            long=True, timeout=1800),
        # IPIs are not MSIs: those of one hart may not reach another one.
        Row("noipi", Machine(smp=2),
            ["topology", "trigger", "moves", "hotplug", "deaf"],
            append="irqchip.riscv_imsic_noipi", timeout=600),
        Row("storm", Machine(smp=4), ["storm"],
            args={"storm": "count=100000"}, timeout=900),
        # C: the kernel dies when a CPU comes back whose vector was freed in
        # the midst of a move.
        Row("sequences", Machine(smp=4), ["sequences"], impl=("rust",),
            args={"sequences": "rounds=20;steps=500"}, timeout=600),
        # Wires: QEMU before 11.1 is not exact about levels.
        Row("wired-msi", Machine(smp=4), ["wired"]),
        Row("wired-msi-new", Machine(smp=4, qemu="bpo"), ["wired"],
            args={"wired": "exact=1"}),
        Row("wired-direct", Machine(smp=4, aia="aplic"), ["wired"]),
        Row("wired-direct-new", Machine(smp=4, aia="aplic", qemu="bpo"),
            ["wired"], args={"wired": "exact=1"}, skips=DIRECT_LEVELS),
        # Two APLICs, each for the harts of its socket.
        Row("direct-s2", Machine(smp=4, sockets=2, aia="aplic"),
            ["topology", "scftorture", "wired"]),
        Row("plic", Machine(smp=2, aia="none"), ["topology"]),
        # Harts and APLICs that lose their registers.
        # C loses what is pending.
        Row("power-imsic", Machine(smp=2, qemu="bpo"), ["power"],
            impl=("rust",), timeout=600),
        Row("power-direct", Machine(smp=2, aia="aplic", qemu="bpo"),
            ["power"], impl=("rust",), timeout=600),
        # What "make bench" counts: here that all of it arrives.
        Row("bench", Machine(smp=2), ["bench", "kvm-bench"]),
        Row("bench-direct", Machine(smp=2, aia="aplic"), ["bench"]),
        *few_ids.rows(Row, debug),
        *fence.rows(Row, debug),
        *aplics.rows(Row, debug),
        *kvm(),
        *module(),
        *plain(),
        *uniprocessor(),
        *small(),
        *realtime(),
        *scale(),
        *client.rows(Row),
        *linux_guest.rows(Row),
        *guest_trace.rows(Row, debug),
        *malformed.rows(Row, debug),
        *acpi.rows(Row),
        *madt.rows(Row),
        *powered.rows(Row),
        *kexec.rows(Row),
        *checked(),
    ]
    for row in rows:
        _tell(row)
    names = [row.name for row in rows]
    assert len(names) == len(set(names)), "two rows of one name"
    return rows
