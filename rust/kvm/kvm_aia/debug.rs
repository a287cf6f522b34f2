// SPDX-License-Identifier: GPL-2.0

//! What debugfs shows: whose the guest interrupt files are.

use aia_core::ids::Hgei;
use kernel::{
    cpu::CpuId,
    debugfs::{
        Dir,
        File, //
    },
    fmt,
    prelude::*, //
};
use kernel_ext::cpumask;

use crate::state::host::{
    owners,
    HgeiControl,
    HostAia, //
};

/// Has debugfs show `host`, for as long as it exists. May sleep.
pub(crate) fn shown(host: HostAia) -> Result<Pin<KBox<File<HostAia>>>> {
    KBox::pin_init(
        Dir::new(c"riscv-aia").read_callback_file(c"guest_files", host, &guest_files),
        GFP_KERNEL,
    )
}

/// A line for each CPU that may be there, and one for each of its guest files that is in use.
fn guest_files(host: &HostAia, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    cpumask::possible()
        .filter_map(|cpu| Some((cpu, host.harts.on(cpu)?)))
        .try_for_each(|(cpu, hart)| of_cpu(cpu, hart, f))
}

fn of_cpu(cpu: CpuId, hart: &HgeiControl, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(
        f,
        "CPU {}: {} guest files",
        cpu.as_u32(),
        hart.lines.lock().count()
    )?;
    for line in (1..=Hgei::MAX.get()).filter_map(Hgei::new) {
        // What is printed may be long: not under the lock, each line by itself.
        let owner = {
            let lines = hart.lines.lock();

            let owner = owners(&lines, line.bit()).next();

            owner.map(|(_, vcpu)| (vcpu.vm().pid(), vcpu.id()))
        };

        if let Some((vm, vcpu)) = owner {
            writeln!(f, "  {}: vm {vm} vcpu {vcpu}", line.get())?;
        }
    }
    Ok(())
}
