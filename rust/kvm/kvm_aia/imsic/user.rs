// SPDX-License-Identifier: GPL-2.0

//! User space reads and writes an interrupt file, wherever its state is.

use aia_core::{
    guest::binding::Binding,
    isel::{
        Isel,
        Register, //
    },
    swfile::Image, //
};
use kernel::prelude::*;
use kernel_ext::{
    arch::riscv::hypervisor::GuestFileRegisters,
    smp, //
};
use kvm_ext::VcpuLocked;

use super::{
    moves::wait_for_offline,
    VcpuImsic, //
};

impl VcpuImsic {
    /// Calls `f` where the state is: with the registers of the guest file on its own CPU, or without
    /// for the file in memory. The binding is locked meanwhile. May wait for another CPU.
    ///
    /// With the vCPU's mutex held, so that only a CPU that goes offline may be moving the state.
    fn with_state<R: Send>(
        &self,
        _vcpu: &VcpuLocked<'_>,
        mut f: impl FnMut(Option<&GuestFileRegisters<'_>>) -> R + Send,
    ) -> R {
        loop {
            let bound = {
                let binding = self.binding.lock();

                match &*binding {
                    Binding::Bound(file) => Some((file.on(), file.line())),
                    Binding::Software => return f(None),
                    // Soon the state is in memory.
                    Binding::Moving | Binding::Releasing => None,
                }
            };
            let Some((on, line)) = bound else {
                wait_for_offline();
                continue;
            };
            let done = smp::call_on(on, |irqs_off| {
                let binding = self.binding.lock();

                // The state may have moved meanwhile.
                binding
                    .file()
                    .filter(|file| file.on() == on && file.line() == line)?;
                Some(f(Some(&self.host.hart(irqs_off).guest_file(line.get()))))
            });

            if let Ok(Some(result)) = done {
                return result;
            }
        }
    }

    /// Copies the state, wherever it is, and leaves it there. May wait for another CPU.
    pub(crate) fn save(&self, vcpu: &VcpuLocked<'_>, image: &mut Image) {
        self.with_state(vcpu, |registers| {
            self.copy(image, |isel| match registers {
                Some(registers) => registers.read(isel.get()),
                None => self.file.access(isel.register(), 0, 0).unwrap_or(0),
            });
        });
    }

    /// Fills `image` with the registers that `read` returns.
    fn copy(&self, image: &mut Image, read: impl Fn(Isel) -> u64) {
        image.eidelivery = read(Isel::EIDELIVERY);
        image.eithreshold = read(Isel::EITHRESHOLD);
        for (word, eip, eie) in image.words_mut(self.file.nr_ids()) {
            *eip = read(Isel::eip(word));
            *eie = read(Isel::eie(word));
        }
    }

    /// Replaces the state, which is in memory afterwards.
    pub(crate) fn restore(&self, vcpu: &VcpuLocked<'_>, image: &Image) {
        self.discard(vcpu);
        self.file.reset();
        self.file.merge(image);
        self.update_line(vcpu);
    }

    /// User space reads a register, or writes it if there is a value, wherever the state is. May
    /// wait for another CPU.
    pub(crate) fn user_access(
        &self,
        vcpu: &VcpuLocked<'_>,
        isel: Isel,
        write: Option<u64>,
    ) -> Result<u64> {
        let mask = if write.is_some() { u64::MAX } else { 0 };
        let value = write.unwrap_or_default();
        let old = self.with_state(vcpu, |registers| match (registers, write) {
            (Some(registers), Some(value)) => Some(registers.swap(isel.get(), value)),
            (Some(registers), None) => Some(registers.read(isel.get())),
            (None, _) => self.file.access(isel.register(), value, mask),
        });

        if write.is_some() {
            self.update_line(vcpu);
        }
        old.ok_or(ENOENT)
    }

    /// Checks a register number of user space.
    ///
    /// Fails with `ENOENT` if it is no register of an interrupt file, and with `EINVAL` if it is one
    /// that this file does not have.
    pub(crate) fn check(&self, isel: u32) -> Result<Isel> {
        const WORDS: core::ops::RangeInclusive<u32> = 0x80..=0xff;
        let words = self.file.nr_ids().words();
        let missing = if WORDS.contains(&isel) {
            EINVAL
        } else {
            ENOENT
        };
        let isel = Isel::new(isel.into()).ok_or(missing)?;

        match isel.register() {
            Register::Eidelivery | Register::Eithreshold => Ok(isel),
            Register::Eip(word) | Register::Eie(word) if word.get() < words => Ok(isel),
            Register::Eip(_) | Register::Eie(_) => Err(EINVAL),
            Register::Reserved | Register::Iprio { .. } => Err(ENOENT),
        }
    }
}
