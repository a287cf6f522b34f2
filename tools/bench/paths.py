# SPDX-License-Identifier: GPL-2.0
"""The paths that are counted, and the machines on which they are gone."""

import dataclasses
import re

from machine import Machine

# What is counted on each path: functions that both kernels have; with @NAME,
# those of their calls that call NAME. All calls of a function on its path are
# the same but for chance, or there is a path each.
PATHS = {
    "MSI to a handler": ("do_irq@handle_irq_event",),
    "mask and unmask, own CPU": ("disable_irq", "enable_irq"),
    "mask and unmask, other CPU": ("disable_irq", "enable_irq"),
    "move of an MSI": ("irq_set_affinity",),
    "move of a wired interrupt": ("irq_set_affinity",),
    "vector allocated and freed": (
        "irq_domain_alloc_irqs_parent", "irq_domain_free_irqs_top"),
    "IPI": ("arch_send_call_function_single_ipi", "do_irq@ipi_mux_process"),
    "wired interrupt to a handler": ("do_irq@handle_irq_event",),
    "KVM: MSI to memory": (
        "kvm_send_userspace_msi", "kvm_riscv_aia_inject_msi"),
    "KVM: MSI to a guest file": (
        "kvm_send_userspace_msi", "kvm_riscv_aia_inject_msi"),
    "KVM: wire, memory": ("kvm_riscv_aia_inject_irq",),
    "KVM: wire, guest file": ("kvm_riscv_aia_inject_irq",),
    "KVM: MSI of a vCPU to itself, memory": (
        "kvm_io_bus_write", "kvm_riscv_vcpu_aia_rmw_topei"),
    "KVM: guest entry, memory": ("kvm_riscv_vcpu_aia_update",),
    "KVM: guest entry, guest file": ("kvm_riscv_vcpu_aia_update",),
    "KVM: guest file of another vCPU": (
        "kvm_riscv_vcpu_aia_update@kvm_riscv_mmu_unmap_io_page",),
    # Of several sizes, see curves.NAME.
    "KVM: move of a guest file": (
        "kvm_riscv_vcpu_aia_update@arch_send_call_function_single_ipi",),
    "KVM: guest write to domaincfg": ("kvm_io_bus_write",),
}
# What the drivers in C do not do at all.
RUST_ONLY = ("KVM: guest file of another vCPU",)


@dataclasses.dataclass
class Shape:
    """A machine, what it makes of the names of paths, and what goes them."""

    where: str
    machine: Machine
    tests: list
    # Identities of its interrupt files, if not QEMU's 255.
    ids: int = 0

    @property
    def name(self):
        """For files."""
        return re.sub(r"[^a-z0-9]+", "-", self.machine.aia + self.where)


# A wired interrupt in direct mode is a path of its own.
SHAPES = (
    Shape("", Machine(smp=2), ["bench", "kvm-bench"]),
    Shape(", direct mode", Machine(smp=2, aia="aplic"), ["bench"]),
)
SIZES = (
    *(Shape(f", {n} harts", Machine(smp=n), ["bench"]) for n in (4, 8, 16)),
    *(Shape(f", {n} identities", Machine(smp=2), ["bench"], ids=n)
      for n in (63, 127)),
)
