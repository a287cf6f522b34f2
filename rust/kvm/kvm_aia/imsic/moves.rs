// SPDX-License-Identifier: GPL-2.0

//! The state of an interrupt file moves: after its vCPU to another CPU's guest file, or to memory.

use aia_core::{
    guest::{
        binding::{
            Begin,
            Binding,
            BoundTo,
            Release, //
        },
        config::Mode, //
    },
    ids::Cpu,
    swfile::Image, //
};
use kernel::{
    bindings,
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
    Vcpu,
    VcpuLocked, //
};

use super::VcpuImsic;
use crate::{
    file::GuestFile,
    host::Host, //
};

/// Where the state is once the vCPU is on another CPU.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Followed {
    /// In a guest file there.
    InFile,
    /// In memory.
    InMemory,
    /// Where it was: there is no guest file, and the vCPU may not do without.
    Refused,
}

/// A vCPU whose guest file is being taken away: nobody frees it before this is finished.
#[must_use = "the vCPU waits for the end"]
pub(crate) struct Releasing<'a> {
    imsic: &'a VcpuImsic,
    vcpu: &'a Vcpu,
    file: GuestFile,
}

impl VcpuImsic {
    /// Prepares for guest entry: the guest file is one of the CPU that the vCPU is on.
    ///
    /// Returns whether the vCPU can run; if not, user space is told why.
    #[inline]
    pub(crate) fn enter(
        &self,
        vcpu: &mut VcpuLocked<'_>,
        mode: Mode,
        preemption: &mut PreemptionBorrowed,
    ) -> Result<bool> {
        if !mode.uses_guest_files() {
            return Ok(true);
        }
        let cpu = vcpu.cpu().ok_or(EINVAL)?;

        match BoundTo::unpack(self.bound.load()) {
            Some((on, _)) if on == Cpu::new(cpu.as_u32()) => Ok(true),
            _ if cfg!(CONFIG_PREEMPT_RT) => self.follow_preemptible(vcpu, mode, preemption),
            _ => Ok(self.follow(vcpu, mode, cpu)? != Followed::Refused),
        }
    }

    /// [`Self::follow`] with preemption on, since KVM's `mmu_lock` sleeps with `PREEMPT_RT`.
    #[cold]
    fn follow_preemptible(
        &self,
        vcpu: &mut VcpuLocked<'_>,
        mode: Mode,
        preemption: &mut PreemptionBorrowed,
    ) -> Result<bool> {
        loop {
            let followed = preemption.given_back(|| {
                // A CPU that goes offline would take the file away, and not wait.
                let _cpus = CpusReadLock::new();
                let _here = MigrationDisabled::new();
                let cpu = vcpu.cpu().ok_or(EINVAL)?;

                self.follow(vcpu, mode, cpu)
            })?;

            match followed {
                Followed::Refused => return Ok(false),
                Followed::InMemory => return Ok(true),
                // The task may be on another CPU by now, or the CPU offline.
                Followed::InFile => {
                    let on = BoundTo::unpack(self.bound.load()).map(|(on, _)| on);

                    if on.is_some() && on == vcpu.cpu().map(|cpu| Cpu::new(cpu.as_u32())) {
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// Moves the state to a guest file of `cpu`, the running one, after AIA 6.1.2. The task does not
    /// leave the CPU meanwhile.
    #[cold]
    fn follow(&self, vcpu: &mut VcpuLocked<'_>, mode: Mode, cpu: CpuId) -> Result<Followed> {
        let Some(new) = GuestFile::alloc(self.host, cpu, vcpu) else {
            if mode == Mode::Hwaccel {
                vcpu.fail_entry(bindings::KVM_EXIT_FAIL_ENTRY_NO_VSFILE.into(), cpu);
                return Ok(Followed::Refused);
            }
            self.release(vcpu);
            vcpu.set_vgein(0);
            return Ok(Followed::InMemory);
        };
        let ids = self.host.max_ids;

        {
            let irqs_off = local_interrupt_disable();
            let hart = self.host.hart(&irqs_off);

            // A former owner may have waited for it.
            hart.disable(new.line().bit());
            new.clear(hart, ids);
        }

        // From here on MSIs of the host go to memory.
        let old = loop {
            let begun = self.change(Binding::begin_move);

            match begun {
                Begin::FromSoftware => break None,
                Begin::From(old) => break Some(old),
                // The old CPU goes offline. It does not wait for us.
                Begin::Wait => core::hint::spin_loop(),
            }
        };

        // And from here on MSIs of the guest go to the new file, which does not deliver them yet.
        if let Err(error) = vcpu
            .vm()
            .map_device_page(self.address.get(), new.address().get())
        {
            self.stay(vcpu, old);
            return Err(error);
        }

        let mut image = Image::default();
        match old {
            Some(old) => old.save(self.host, &mut image),
            None => self.file.take(&mut image),
        }

        let line = new.line();
        let finished = {
            let irqs_off = local_interrupt_disable();
            let hart = self.host.hart(&irqs_off);

            new.load(hart, ids, &image);
            self.change(|binding| {
                let mut late = Image::default();

                self.file.take_pending(&mut late);
                new.pend(hart, ids, &late);
                binding.finish_move(new)
            })
        };
        // Nobody else ends a move.
        finished.map_err(|_unused| EINVAL)?;

        self.update_line(vcpu);
        vcpu.set_vgein(line.get());
        Ok(Followed::InFile)
    }

    /// Ends a move that could not be done: the state is where it was.
    fn stay(&self, vcpu: &Vcpu, old: Option<GuestFile>) {
        match old {
            None => {
                self.change(Binding::cancel_move);
                self.update_line(vcpu);
            }
            Some(old) => {
                let result = self.change(|binding| {
                    let mut late = Image::default();

                    self.file.take_pending(&mut late);
                    for (word, eip, _) in late.words(self.file.nr_ids()) {
                        word.ids(eip).for_each(|eiid| old.store(eiid));
                    }
                    binding.finish_move(old)
                });

                // Only now, without the lock, may a file be dropped.
                drop(result);
            }
        }
    }

    /// Takes the guest file away from the vCPU if it is one of CPU `on`, or any. Finish what it
    /// returns.
    pub(crate) fn begin_release<'a>(
        &'a self,
        vcpu: &'a Vcpu,
        on: Option<CpuId>,
    ) -> Option<Releasing<'a>> {
        let on = on.map(|cpu| Cpu::new(cpu.as_u32()));
        let begun = self.change(|binding| binding.begin_release(on));

        match begun {
            Release::File(file) => Some(Releasing {
                imsic: self,
                vcpu,
                file,
            }),
            Release::Nothing | Release::Busy => None,
        }
    }

    /// Moves the state to memory. By the vCPU's thread on its way into the guest: the CPU that has
    /// the guest file does not go offline meanwhile.
    fn release(&self, vcpu: &Vcpu) {
        self.release_by(vcpu, Releasing::finish);
    }

    /// Gives the guest file back without what is in it: nobody needs the state any more. By the
    /// vCPU's thread, or with its mutex held.
    pub(super) fn discard(&self, vcpu: &Vcpu) {
        self.release_by(vcpu, Releasing::discard);
    }

    fn release_by<'a>(&'a self, vcpu: &'a Vcpu, end: impl FnOnce(Releasing<'a>)) {
        loop {
            let begun = self.change(|binding| binding.begin_release(None));

            match begun {
                Release::File(file) => {
                    return end(Releasing {
                        imsic: self,
                        vcpu,
                        file,
                    });
                }
                Release::Nothing => return,
                Release::Busy => wait_for_offline(),
            }
        }
    }
}

impl Releasing<'_> {
    /// Ends it on the CPU that has the file, which the task does not leave.
    pub(crate) fn finish_here(self) {
        self.finish_with(|file, host, image| {
            file.save_here(host.hart(&local_interrupt_disable()), host.max_ids, image);
        });
    }

    /// Ends it on any CPU.
    fn finish(self) {
        self.finish_with(|file, host, image| file.save(host, image));
    }

    /// Ends it on any CPU. The state is lost.
    fn discard(self) {
        let Self { imsic, vcpu, file } = self;

        // From here on MSIs of the guest trap.
        vcpu.vm()
            .unmap_device_page(imsic.address.get(), file.address().get());
        drop(file);
        // The vCPU may be gone afterwards.
        imsic.change(Binding::finish_release);
    }

    /// Moves the state by `save`, which gives the file back.
    fn finish_with(self, save: impl FnOnce(GuestFile, &'static Host, &mut Image)) {
        let Self { imsic, vcpu, file } = self;
        let mut image = Image::default();

        // From here on MSIs of the guest trap.
        vcpu.vm()
            .unmap_device_page(imsic.address.get(), file.address().get());
        save(file, imsic.host, &mut image);
        imsic.file.merge(&image);
        imsic.update_line(vcpu);
        // The vCPU may be gone afterwards.
        imsic.change(Binding::finish_release);
    }
}

/// Waits a moment for a CPU that goes offline and takes a guest file away. To be called again.
///
/// That CPU has preemption off meanwhile, except with `PREEMPT_RT`, where KVM's `mmu_lock` sleeps,
/// and whoever spins might keep the lock's owner from running. So this may sleep there.
pub(super) fn wait_for_offline() {
    if cfg!(CONFIG_PREEMPT_RT) {
        drop(CpusReadLock::new());
    } else {
        core::hint::spin_loop();
    }
}
