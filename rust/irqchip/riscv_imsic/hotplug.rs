// SPDX-License-Identifier: GPL-2.0

//! CPUs that come and go.

use aia_core::vector::{
    access::HartAccess,
    operations,
    POKE, //
};
use kernel::{
    cpu::CpuId,
    interrupt::LocalInterruptDisabled,
    prelude::*, //
};
use kernel_ext::{
    arch::riscv::hypervisor,
    cpuhp, //
};

use crate::{
    hart::ThisHart,
    published, //
};

/// A CPU's interrupt file is in use as long as the CPU is online.
pub(crate) struct Hotplug;

impl cpuhp::Prepare for Hotplug {
    fn prepare(cpu: CpuId) -> Result {
        let local = published::imsic().and_then(|imsic| imsic.locals.on(cpu));

        if local.ok_or(ENODEV)?.doorbell.is_none() {
            pr_err!(
                "CPU {} has no interrupt file, it stays offline\n",
                cpu.as_u32()
            );
            return Err(ENODEV);
        }
        Ok(())
    }
}

impl cpuhp::Starting for Hotplug {
    fn starting(_cpu: CpuId, irqs_off: &LocalInterruptDisabled) {
        let Some(imsic) = published::imsic() else {
            return;
        };
        let hart = ThisHart::new(imsic, irqs_off);

        // Nobody clears it where a former kernel has crashed.
        hypervisor::silence(irqs_off);
        hart.reset();
        operations::go_online(&hart);
        imsic.parent.enable(irqs_off);
        hart.deliver();
    }

    fn dying(_cpu: CpuId, irqs_off: &LocalInterruptDisabled) {
        let Some(imsic) = published::imsic() else {
            return;
        };
        let hart = ThisHart::new(imsic, irqs_off);

        hart.local().timer.stop();
        operations::go_offline(&hart);
        hart.disable(POKE);
    }
}
