// SPDX-License-Identifier: GPL-2.0

//! KVM guests with and without hardware guest interrupt files: every MSI
//! arrives once, and with a guest file none of them costs an exit.

mod asleep;
mod delivery;
mod doze;
mod exits;
mod files;
mod kicks;
mod mapping;
mod moving;
mod share;
mod vcpu;

use std::process::ExitCode;
use vmm::{
    suite,
    Need,
    Test, //
};

const TESTS: &[Test] = &[
    (
        "KVM finds the guest files that the machine has",
        Need::Nothing,
        files::file_count,
    ),
    (
        "a guest has the identities of a guest file, in each mode",
        Need::Nothing,
        files::identities,
    ),
    (
        "hwaccel and auto are accepted only where there are guest files",
        Need::Nothing,
        files::modes,
    ),
    (
        "emul: MSIs of a vCPU to itself, exact, exits for each",
        Need::Nothing,
        delivery::emul_self,
    ),
    (
        "emul: MSIs between vCPUs, exact, exits for each",
        Need::Nothing,
        delivery::emul_other,
    ),
    (
        "emul: MSIs with guest index bits in the address",
        Need::Nothing,
        delivery::emul_guest_bits,
    ),
    (
        "emul: MSIs by KVM_SIGNAL_MSI, exact, exits for each",
        Need::Nothing,
        delivery::emul_signal,
    ),
    (
        "emul: MSIs by irqfd, exact, exits for each",
        Need::Nothing,
        delivery::emul_irqfd,
    ),
    (
        "emul: wires by KVM_IRQ_LINE, exact, exits for each",
        Need::Nothing,
        delivery::emul_wires,
    ),
    (
        "emul: MSIs wake a vCPU in WFI",
        Need::Nothing,
        vcpu::emul_wfi,
    ),
    (
        "emul: a vCPU sleeps on each CPU, and an MSI wakes it up",
        Need::FilesAndCpus(0, 2),
        asleep::emul_woken,
    ),
    (
        "emul: a vCPU that moved sleeps on",
        Need::FilesAndCpus(0, 2),
        asleep::emul_moved,
    ),
    (
        "emul: MSIs kick the vCPU that runs",
        Need::FilesAndCpus(0, 2),
        kicks::each,
    ),
    (
        "emul: a vCPU runs on a CPU that loses its registers now and then",
        Need::Nothing,
        doze::emul_runs,
    ),
    (
        "emul: claims by polling, console, doorbell, shutdown",
        Need::Nothing,
        vcpu::emul_polling,
    ),
    (
        "emul: registers by the device, pending bits set by it",
        Need::Nothing,
        vcpu::emul_state,
    ),
    (
        "emul: no MSI is lost while the vCPU moves",
        Need::FilesAndCpus(0, 2),
        moving::emul_move_host,
    ),
    (
        "emul: nor while it is stopped on its way into the guest",
        Need::FilesAndCpus(0, 2),
        moving::emul_move_stopped,
    ),
    (
        "guest file: MSIs of a vCPU to itself, exact, no exit",
        Need::Files(1),
        delivery::hw_self,
    ),
    (
        "guest file: MSIs between vCPUs, exact, no exit",
        Need::Vcpus(2),
        delivery::hw_other,
    ),
    (
        "guest file: MSIs with guest index bits, exact, no exit",
        Need::Vcpus(2),
        delivery::hw_guest_bits,
    ),
    (
        "guest file: MSIs by KVM_SIGNAL_MSI, exact, no exit",
        Need::Files(1),
        delivery::hw_signal,
    ),
    (
        "guest file: MSIs by irqfd, exact, no exit",
        Need::Files(1),
        delivery::hw_irqfd,
    ),
    (
        "guest file: wires by KVM_IRQ_LINE, exact, no exit",
        Need::Files(1),
        delivery::hw_wires,
    ),
    (
        "guest file: MSIs wake a vCPU in WFI",
        Need::Files(1),
        vcpu::hw_wfi,
    ),
    (
        "guest file: a vCPU sleeps on each CPU, and an MSI wakes it up",
        Need::FilesAndCpus(1, 2),
        asleep::hw_woken,
    ),
    (
        "guest file: a vCPU that moved sleeps on",
        Need::FilesAndCpus(1, 2),
        asleep::hw_moved,
    ),
    (
        "guest file: vCPUs fall asleep while MSIs come to others there",
        Need::FilesAndCpus(2, 2),
        asleep::hw_others,
    ),
    (
        "guest file: an MSI that a vCPU does not wait for does not wake it up",
        Need::Files(1),
        asleep::hw_disabled,
    ),
    (
        "guest file: nor one to a vCPU that is stopped",
        Need::Vcpus(2),
        asleep::hw_ended,
    ),
    (
        "guest file: a vCPU sleeps on while its CPU is in a state of low power",
        Need::Files(1),
        asleep::hw_idle,
    ),
    (
        "guest file: nobody waits on a CPU that was in such a state, went and came back",
        Need::FilesAndCpus(1, 2),
        asleep::hw_gone,
    ),
    (
        "guest file: a vCPU runs on a CPU that loses its registers now and then",
        Need::Files(1),
        doze::hw_runs,
    ),
    (
        "guest file: files of vCPUs outlive a state that loses them",
        Need::Vcpus(2),
        doze::hw_sleeps,
    ),
    (
        "guest file: nothing is left of what a state has put into a free one",
        Need::FilesAndCpus(1, 2),
        doze::hw_free,
    ),
    (
        "guest file: the system sleeps, and the files lose what they hold",
        Need::Files(1),
        asleep::hw_suspend,
    ),
    (
        "guest file: MSIs kick nobody",
        Need::FilesAndCpus(1, 2),
        kicks::none,
    ),
    (
        "guest file: claims by polling, console, doorbell, shutdown",
        Need::Files(1),
        vcpu::hw_polling,
    ),
    (
        "guest file: registers by the device, pending bits set by it",
        Need::Files(1),
        vcpu::hw_state,
    ),
    (
        "guest files are where the address map says, one vCPU in each",
        Need::Files(1),
        files::places,
    ),
    ("emul: no IMSIC is mapped", Need::Nothing, mapping::emul),
    (
        "guest file: mapped as a device (9bca8be646e0, 8c5fa3764fac)",
        Need::Files(1),
        mapping::guest_file,
    ),
    (
        "guest file: not mapped at an address that guests do not have",
        Need::Files(1),
        mapping::beyond,
    ),
    (
        "auto: mapped as long as the vCPU has a guest file",
        Need::FilesAndCpus(1, 2),
        mapping::auto,
    ),
    (
        "hwaccel without a free guest file fails the entry, and only that",
        Need::Files(1),
        share::exhausted,
    ),
    (
        "auto with more vCPUs than guest files delivers every MSI",
        Need::Files(1),
        share::overcommit,
    ),
    (
        "two VMs share the guest files, and nothing else",
        Need::Nothing,
        share::two_vms,
    ),
    (
        "guest file: no MSI of the host is lost while the vCPU moves",
        Need::FilesAndCpus(1, 2),
        moving::hw_move_host,
    ),
    (
        "guest file: no MSI of a vCPU is lost while the other moves",
        Need::FilesAndCpus(2, 2),
        moving::hw_move_vcpu,
    ),
    (
        "auto: none is lost moving between guest file and software",
        Need::FilesAndCpus(1, 2),
        moving::auto_move_vcpu,
    ),
    // Last: it leaves files of which KVM knows that nothing is on its way to them, so that it does not clear
    // what a test stores there by itself.
    (
        "guest file: a CPU that runs a vCPU is told when another one's moves",
        Need::FilesAndCpus(1, 3),
        kicks::told,
    ),
];

fn main() -> ExitCode {
    suite::run(TESTS)
}
