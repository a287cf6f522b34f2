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
        victim::NoVictim,
    },
    ids::Cpu, //
};
use kernel::{
    cpu::CpuId,
    interrupt::local_interrupt_disable,
    prelude::*, //
};
use kernel_ext::{
    preempt::{
        MigrationDisabled,
        PreemptionBorrowed, //
    },
    time::monotonic_ns, //
};
use kvm_ext::{
    FailedEntry,
    Statistic,
    VcpuLocked, //
};

use crate::state::{
    guest_file::GuestFile,
    handle::VcpuImsicRef,
    imsic::VcpuImsic,
    trace,
    undisturbed::Undisturbed, //
};

/// Where the state is once the vCPU is on another CPU.
#[derive(Clone, Copy, Eq, PartialEq)]
enum EntryOutcome {
    /// In a guest file there.
    InFile,
    /// In memory.
    InMemory,
    /// Where it was: the CPU has no guest files, and the vCPU may not do without.
    Refused,
    /// Where it was: all files are in somebody's hands, who comes to an end.
    TryAgain,
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
            _ => Ok(self.follow_or_spin(vcpu, cpu)? != EntryOutcome::Refused),
        }
    }

    /// [`Self::follow`] with preemption off. Whoever has a file of this CPU in his hands has that off,
    /// too, on another CPU ([`Undisturbed`]).
    #[cold]
    fn follow_or_spin(&self, vcpu: &mut VcpuLocked<'_>, cpu: CpuId) -> Result<EntryOutcome> {
        loop {
            match self.follow(vcpu, cpu)? {
                EntryOutcome::TryAgain => core::hint::spin_loop(),
                outcome => return Ok(outcome),
            }
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
                let _undisturbed = Undisturbed::new(self.host);
                let _here = MigrationDisabled::new();
                let cpu = vcpu.cpu().ok_or(EINVAL)?;

                // The task may have gone to where its file is.
                if self.is_bound_to(cpu) {
                    return Ok(EntryOutcome::InFile);
                }
                self.follow(vcpu, cpu)
            })?;

            match followed {
                EntryOutcome::Refused => return Ok(false),
                EntryOutcome::InMemory => return Ok(true),
                // The task may be on another CPU by now, or the CPU offline, or somebody else has the
                // file.
                EntryOutcome::InFile => {
                    if vcpu.cpu().is_some_and(|cpu| self.is_bound_to(cpu)) {
                        return Ok(true);
                    }
                }
                EntryOutcome::TryAgain => (),
            }
        }
    }

    /// Whether the guest file is one of `cpu`.
    fn is_bound_to(&self, cpu: CpuId) -> bool {
        BoundTo::unpack(self.bound.load()).is_some_and(|(on, _)| on == Cpu::new(cpu.as_u32()))
    }

    /// Moves the state to a guest file of `cpu`, the running one, or to memory. The task does not leave
    /// the CPU meanwhile: preemption is off, which the stop of all CPUs waits for, after which alone a
    /// CPU is gone; or no CPU goes.
    ///
    /// Fails with `ENOMEM`, and nothing changes, if there is no memory for a page table.
    #[cold]
    fn follow(&self, vcpu: &mut VcpuLocked<'_>, cpu: CpuId) -> Result<EntryOutcome> {
        if vcpu.is_stopped() {
            // A signal has woken its thread up. It sleeps again, or returns to user space, and needs no
            // guest file; what is sent to a hart that starts goes to memory. When all are stopped at
            // once, it may be in the guest a moment longer: not with the file of somebody else.
            release::release(VcpuImsicRef::new(vcpu, self));
            vcpu.set_vgein(0);
            return Ok(EntryOutcome::InMemory);
        }

        let mut begun = None;
        let found = GuestFile::alloc(self.host, cpu, vcpu).map_or_else(
            || {
                begun = Some(monotonic_ns());
                self.steal(vcpu, cpu)
            },
            Ok,
        );
        let new = match found {
            Ok(new) => new,
            Err(NoVictim::NoLine) if self.mode == Mode::Hwaccel => {
                vcpu.fail_entry(FailedEntry::NoGuestFile, cpu);
                return Ok(EntryOutcome::Refused);
            }
            Err(_) if self.mode == Mode::Hwaccel => return Ok(EntryOutcome::TryAgain),
            Err(_) => {
                release::release(VcpuImsicRef::new(vcpu, self));
                vcpu.set_vgein(0);
                trace::missed(vcpu);
                vcpu.count(Statistic::FileMisses);
                return Ok(EntryOutcome::InMemory);
            }
        };
        let line = new.hgei();

        // A former owner may have waited for it.
        self.host
            .hart(&local_interrupt_disable())
            .disable(line.bit());
        moves::follow(VcpuImsicRef::new(vcpu, self), new)?;
        vcpu.set_vgein(line.get());
        if let Some(begun) = begun {
            self.rest(cpu, begun);
        }
        Ok(EntryOutcome::InFile)
    }
}
