// SPDX-License-Identifier: GPL-2.0

//! A vCPU's interrupt file: in a guest interrupt file of the hardware, or in memory.
//!
//! Who moves the state, and when, is logic of [`aia_core::guest::binding`]; what memory holds, of
//! [`aia_core::swfile`].

use aia_core::{
    addr::{
        Guest,
        PhysAddr, //
    },
    guest::{
        binding::{
            Begin,
            Binding,
            BoundTo,
            GuestFile as _,
            Release, //
        },
        config::Mode, //
    },
    ids::{
        Cpu,
        Eiid,
        NrIds, //
    },
    isel::{
        Isel,
        Register, //
    },
    swfile::{
        Image,
        SwFile, //
    },
    word::Word, //
};
use kernel::{
    bindings,
    cpu::CpuId,
    interrupt::local_interrupt_disable,
    prelude::*,
    static_lock_class, //
};
use kernel_ext::{
    arch::riscv::hypervisor::GuestFileRegisters,
    smp::{
        self,
        CpusReadLock,
        MigrationDisabled,
        PreemptionBorrowed, //
    },
    sync::RawSpinLock, //
};
use kvm_ext::{
    io_bus::{
        IoDevice,
        Mmio, //
    },
    Vcpu,
    VcpuLocked, //
};

use crate::{
    ffi,
    file::GuestFile,
    host::Host,
    vm, //
};

/// `setipnum_le` and `setipnum_be` in the page of an interrupt file (AIA 3.5).
const SETEIPNUM_LE: u32 = 0;
const SETEIPNUM_BE: u32 = 4;

/// The interrupt file of a vCPU.
#[pin_data]
pub(crate) struct VcpuImsic {
    /// The CPU and line of the guest file, for guest entry: see [`BoundTo`].
    bound: Word,
    /// Rank "binding": inside of the scheduler's locks.
    #[pin]
    binding: RawSpinLock<Binding<GuestFile>>,
    /// Rank "line": the software interrupt of the vCPU is what the file says. Outside of the
    /// scheduler's locks.
    #[pin]
    line: RawSpinLock<()>,
    file: SwFile,
    host: &'static Host,
    address: PhysAddr<Guest>,
    page: IoDevice<ImsicPage>,
}

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
    /// Makes the interrupt file of a vCPU, whose page is `page` at `address`. May sleep.
    pub(crate) fn new(
        host: &'static Host,
        nr_ids: NrIds,
        address: PhysAddr<Guest>,
        page: IoDevice<ImsicPage>,
    ) -> Result<Pin<KBox<Self>>> {
        KBox::pin_init(
            pin_init!(Self {
                bound: Word::new(0),
                binding <- RawSpinLock::new(
                    Binding::Software,
                    c"kvm_aia_binding",
                    static_lock_class!()
                ),
                line <- RawSpinLock::new((), c"kvm_aia_line", static_lock_class!()),
                file: SwFile::new(nr_ids),
                host,
                address,
                page,
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Where the guest sees it.
    #[inline]
    pub(crate) fn address(&self) -> PhysAddr<Guest> {
        self.address
    }

    /// Changes the binding, and the word for guest entry with it.
    fn change<R>(&self, f: impl FnOnce(&mut Binding<GuestFile>) -> R) -> R {
        let mut binding = self.binding.lock();
        let result = f(&mut binding);

        self.bound.store_release(BoundTo::pack(
            binding.file().map(|file| (file.cpu(), file.hgei())),
        ));
        result
    }

    /// Makes the software interrupt of `vcpu` what the file in memory says; wakes the vCPU up if it
    /// has one.
    ///
    /// Whoever changes the file does this afterwards, so that the last one leaves it right.
    fn update_line(&self, vcpu: &Vcpu) {
        let _line = self.line.lock();

        vcpu.set_external_interrupt(self.file.is_asserted());
    }

    /// Delivers an MSI of `data` to `offset` of the page of the file `guest`; the lower half of the
    /// address of a guest's MSI.
    ///
    /// Fails with `ENODEV` if there is no such file or register, and with `EINVAL` if there is no
    /// such identity. Any context.
    pub(crate) fn inject(&self, vcpu: &Vcpu, guest: u32, offset: u32, data: u32) -> Result {
        let number = match offset {
            SETEIPNUM_LE => data,
            SETEIPNUM_BE => data.swap_bytes(),
            _ => return Err(ENODEV),
        };

        if guest != 0 || number == 0 {
            return Err(ENODEV);
        }
        let eiid = self.file.nr_ids().check(number).ok_or(EINVAL)?;

        {
            let binding = self.binding.lock();

            // The store comes before the unlock, so that whoever takes the file away finds it there.
            if let Some(file) = binding.delivers_to() {
                file.store(eiid);
                return Ok(());
            }
            self.file.pend(eiid);
        }
        self.update_line(vcpu);
        Ok(())
    }

    /// Whether an interrupt is in the guest file. A file of another CPU may have one.
    pub(crate) fn has_interrupt(&self) -> bool {
        let irqs_off = local_interrupt_disable();
        let binding = self.binding.lock();

        binding.file().is_some_and(|file| {
            file.on() != CpuId::current()
                || self.host.hart(&irqs_off).pending() & file.line().bit() != 0
        })
    }

    /// The vCPU's thread stops running to wait: lets the guest file wake it up.
    pub(crate) fn wake_on_interrupt(&self) {
        let irqs_off = local_interrupt_disable();
        let binding = self.binding.lock();

        if let Some(file) = binding.file() {
            // If the thread has moved since it last ran the guest, it does not wait.
            if file.on() == CpuId::current() {
                self.host.hart(&irqs_off).enable(file.line().bit());
            }
        }
    }

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

    /// Moves the state to memory. By the vCPU's thread, or with its mutex held.
    fn release(&self, vcpu: &Vcpu) {
        loop {
            let begun = self.change(|binding| binding.begin_release(None));

            match begun {
                Release::File(file) => {
                    return Releasing {
                        imsic: self,
                        vcpu,
                        file,
                    }
                    .finish();
                }
                Release::Nothing => return,
                Release::Busy => wait_for_offline(),
            }
        }
    }

    /// Resets the interrupt file (AIA 3.4). By the vCPU's thread, or with its mutex held.
    pub(crate) fn reset(&self, vcpu: &Vcpu) {
        self.release(vcpu);
        self.file.reset();
        self.update_line(vcpu);
    }

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
        self.release(vcpu);
        self.file.reset();
        self.file.merge(image);
        self.update_line(vcpu);
    }

    /// The vCPU goes away: gives its guest file back, and waits for whoever still uses the vCPU.
    pub(crate) fn destroy(&self) {
        loop {
            let ended = self.change(Binding::destroy);

            match ended {
                Release::File(_) | Release::Nothing => return,
                Release::Busy => wait_for_offline(),
            }
        }
    }

    /// The identity for which the file in memory interrupts.
    #[inline]
    pub(crate) fn top(&self) -> Option<Eiid> {
        self.file.top()
    }

    /// The guest reads `*topei`, and claims what it reads by a write (AIA 3.9).
    pub(crate) fn access_topei(&self, vcpu: &Vcpu, write: bool) -> u64 {
        if !write {
            return aia_core::eix::topei_value(self.file.top());
        }
        let claimed = self.file.claim();

        self.update_line(vcpu);
        aia_core::eix::topei_value(claimed)
    }

    /// The guest accesses a register of the file in memory: bits of `mask` become those of `value`.
    /// Returns the old value, or [`None`] if it is no register of an interrupt file.
    pub(crate) fn access(
        &self,
        vcpu: &Vcpu,
        register: Register,
        value: u64,
        mask: u64,
    ) -> Option<u64> {
        let old = self.file.access(register, value, mask)?;

        if mask != 0 {
            self.update_line(vcpu);
        }
        Some(old)
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

    /// Moves the state by `save`, which gives the file back.
    fn finish_with(self, save: impl FnOnce(GuestFile, &'static Host, &mut Image)) {
        let Self { imsic, vcpu, file } = self;
        let mut image = Image::default();

        // From here on MSIs of the guest trap.
        vcpu.vm().unmap_device_page(imsic.address.get());
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
fn wait_for_offline() {
    if cfg!(CONFIG_PREEMPT_RT) {
        drop(CpusReadLock::new());
    } else {
        core::hint::spin_loop();
    }
}

/// The page of a vCPU's interrupt file while there is no guest file.
pub(crate) struct ImsicPage;

impl Mmio for ImsicPage {
    fn read(_vcpu: &Vcpu, addr: u64, data: &mut [u8]) -> Result {
        if data.len() != 4 || addr % 4 != 0 {
            return Err(EOPNOTSUPP);
        }
        data.fill(0);
        Ok(())
    }

    fn write(vcpu: &Vcpu, addr: u64, data: &[u8]) -> Result {
        let data: [u8; 4] = data.try_into().map_err(|_| EOPNOTSUPP)?;

        if addr % 4 != 0 {
            return Err(EOPNOTSUPP);
        }
        // What is no MSI is ignored (AIA 3.5).
        let _ = vm::inject_msi(vcpu.vm(), addr, u32::from_le_bytes(data));
        Ok(())
    }
}

/// Whether `vcpu` has an interrupt file, and what it is.
#[inline(always)]
pub(crate) fn of(vcpu: &Vcpu) -> Option<&VcpuImsic> {
    ffi::imsic(vcpu)
}
