// SPDX-License-Identifier: GPL-2.0

//! What other drivers of the kernel see of the IMSIC.

#![expect(unsafe_code, reason = "structures of C with pointers")]

use kernel::{
    bindings,
    cpu::CpuId,
    prelude::*, //
};
use kernel_ext::percpu::PerCpu;

use crate::{
    config::ImsicConfig,
    doorbell::Doorbell, //
};

/// Per CPU, what other drivers of the kernel see.
#[repr(transparent)]
struct LocalConfig(bindings::imsic_local_config);

// SAFETY: Only numbers and the address of a mapping that is the same on all CPUs.
unsafe impl Send for LocalConfig {}
// SAFETY: As above; nothing writes to it.
unsafe impl Sync for LocalConfig {}

/// What other drivers of the kernel see: KVM, IOMMU, system MSIs.
///
/// C header: `include/linux/irqchip/riscv-imsic.h`
pub(crate) struct GlobalConfig {
    raw: bindings::imsic_global_config,
    most_guest_files: u32,
    _locals: PerCpu<LocalConfig>,
}

// SAFETY: Only numbers and a per-CPU pointer; nothing writes to it.
unsafe impl Send for GlobalConfig {}
// SAFETY: As above.
unsafe impl Sync for GlobalConfig {}

impl GlobalConfig {
    /// Makes the C structures of `config`.
    pub(crate) fn new(
        config: &ImsicConfig,
        doorbell: impl Fn(CpuId) -> Option<Doorbell>,
    ) -> Result<Self> {
        let locals = PerCpu::new(|cpu| {
            let mut raw = bindings::imsic_local_config::default();

            if let Some(doorbell) = doorbell(cpu) {
                raw.msi_pa = doorbell.address;
                raw.msi_va = doorbell.register.as_raw();
                raw.nr_guest_files = doorbell.guest_files;
            }
            Ok(LocalConfig(raw))
        })?;
        let guest_files = || config.harts.iter().map(|hart| hart.place.guest_files);
        let geometry = &config.geometry;

        Ok(Self {
            raw: bindings::imsic_global_config {
                guest_index_bits: geometry.guest_index_bits(),
                hart_index_bits: geometry.hart_index_bits(),
                group_index_bits: geometry.group_index_bits(),
                group_index_shift: geometry.group_index_shift(),
                base_addr: geometry.base().get(),
                nr_ids: config.nr_ids.get(),
                nr_guest_ids: config.nr_guest_ids.get(),
                nr_guest_files: guest_files().min().unwrap_or(0),
                // CAST: A transparent wrapper.
                local: locals.as_raw().cast(),
            },
            most_guest_files: guest_files().max().unwrap_or(0),
            _locals: locals,
        })
    }

    /// The C structure.
    pub(crate) fn as_raw(&self) -> &bindings::imsic_global_config {
        &self.raw
    }

    /// Guest files of the hart that has fewest.
    pub(crate) fn fewest_guest_files(&self) -> u32 {
        self.raw.nr_guest_files
    }

    /// Guest files of the hart that has most.
    pub(crate) fn most_guest_files(&self) -> u32 {
        self.most_guest_files
    }
}
