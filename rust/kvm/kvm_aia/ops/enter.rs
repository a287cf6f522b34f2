// SPDX-License-Identifier: GPL-2.0

//! On the way into the guest: the guest file is one of the CPU that the vCPU is on.

use aia_core::{
    guest::{
        binding::{
            BoundTo,
            GuestFileLocation as _, //
        },
        config::Mode,
        imsic::{
            moves,
            release, //
        },
    },
    ids::Cpu, //
};
use kernel::{
    cpu::CpuId,
    interrupt::local_interrupt_disable,
    prelude::*, //
};
use kernel_ext::smp::{
    CpusReadLock,
    MigrationDisabled,
    PreemptionBorrowed, //
};
use kvm_ext::{
    FailedEntry,
    Statistic,
    VcpuLocked, //
};

use crate::state::{
    guest_file::GuestFile,
    handle::VcpuImsicRef,
    imsic::VcpuImsic, //
};

/// Where the state is once the vCPU is on another CPU.
#[derive(Clone, Copy, Eq, PartialEq)]
enum EntryOutcome {
    /// In a guest file there.
    InFile,
    /// In memory.
    InMemory,
    /// Where it was: there is no guest file, and the vCPU may not do without.
    Refused,
}

impl VcpuImsic {
    /// Prepares for guest entry: the guest file is one of the CPU that the vCPU is on.
    ///
    /// Returns whether the vCPU can run; if not, user space is told why.
    #[inline]
    pub(crate) fn enter(
        &self,
        vcpu: &mut VcpuLocked<'_>,
        preemption: &mut PreemptionBorrowed,
    ) -> Result<bool> {
        if !self.mode.uses_guest_files() {
            return Ok(true);
        }
        let cpu = vcpu.cpu().ok_or(EINVAL)?;

        match BoundTo::unpack(self.bound.load()) {
            Some((on, _)) if on == Cpu::new(cpu.as_u32()) => Ok(true),
            _ if cfg!(CONFIG_PREEMPT_RT) => self.follow_preemptible(vcpu, preemption),
            _ => Ok(self.follow(vcpu, cpu)? != EntryOutcome::Refused),
        }
    }

    /// [`Self::follow`] with preemption on, since KVM's `mmu_lock` sleeps with `PREEMPT_RT`.
    #[cold]
    fn follow_preemptible(
        &self,
        vcpu: &mut VcpuLocked<'_>,
        preemption: &mut PreemptionBorrowed,
    ) -> Result<bool> {
        loop {
            let followed = preemption.given_back(|| {
                // A CPU that goes offline would take the file away, and not wait.
                let _cpus = CpusReadLock::new();
                let _here = MigrationDisabled::new();
                let cpu = vcpu.cpu().ok_or(EINVAL)?;

                self.follow(vcpu, cpu)
            })?;

            match followed {
                EntryOutcome::Refused => return Ok(false),
                EntryOutcome::InMemory => return Ok(true),
                // The task may be on another CPU by now, or the CPU offline.
                EntryOutcome::InFile => {
                    let on = BoundTo::unpack(self.bound.load()).map(|(on, _)| on);

                    if on.is_some() && on == vcpu.cpu().map(|cpu| Cpu::new(cpu.as_u32())) {
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// Moves the state to a guest file of `cpu`, the running one, or to memory. The task does not leave
    /// the CPU meanwhile: preemption is off, which the stop of all CPUs waits for, after which alone a
    /// CPU is gone; or no CPU goes.
    ///
    /// Fails with `ENOMEM`, and nothing changes, if there is no memory for a page table.
    #[cold]
    fn follow(&self, vcpu: &mut VcpuLocked<'_>, cpu: CpuId) -> Result<EntryOutcome> {
        let Some(new) = GuestFile::alloc(self.host, cpu, vcpu) else {
            if self.mode == Mode::Hwaccel {
                vcpu.fail_entry(FailedEntry::NoGuestFile, cpu);
                return Ok(EntryOutcome::Refused);
            }
            release::release(VcpuImsicRef::new(vcpu, self));
            vcpu.set_vgein(0);
            vcpu.count(Statistic::FileMisses);
            return Ok(EntryOutcome::InMemory);
        };
        let line = new.hgei();

        // A former owner may have waited for it.
        self.host
            .hart(&local_interrupt_disable())
            .disable(line.bit());
        moves::follow(VcpuImsicRef::new(vcpu, self), new)?;
        vcpu.set_vgein(line.get());
        Ok(EntryOutcome::InFile)
    }
}
