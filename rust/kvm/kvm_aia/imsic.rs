// SPDX-License-Identifier: GPL-2.0

//! A vCPU's interrupt file: in a guest interrupt file of the hardware, or in memory.
//!
//! Who moves the state, when and how, is logic of [`aia_core::guest::imsic`]; what memory holds, of
//! [`aia_core::swfile`].

mod handle;
mod moves;
mod page;
mod user;

use aia_core::{
    addr::{
        Guest,
        PhysAddr, //
    },
    guest::{
        binding::{
            Binding,
            BoundTo, //
        },
        imsic::{
            access,
            inject,
            release, //
        },
    },
    ids::{
        Cpu,
        Eiid,
        NrIds, //
    },
    isel::Register,
    swfile::SwFile,
    word::Word, //
};
use kernel::{
    cpu::CpuId,
    interrupt::local_interrupt_disable,
    prelude::*,
    static_lock_class, //
};
use kernel_ext::sync::RawSpinLock;
use kvm_ext::{
    io_bus::IoDevice,
    Vcpu,
    VcpuLocked, //
};

pub(crate) use self::{
    handle::VcpuImsicRef,
    page::ImsicPage, //
};
use crate::{
    ffi,
    file::GuestFile,
    host::Host, //
};

/// `setipnum_le` and `setipnum_be` in the page of an interrupt file (AIA 3.5).
const SETEIPNUM_LE: u32 = 0;
const SETEIPNUM_BE: u32 = 4;

/// The software interrupt of a vCPU. Who has it may change that.
struct Line;

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
    line: RawSpinLock<Line>,
    file: SwFile,
    host: &'static Host,
    address: PhysAddr<Guest>,
    page: IoDevice<ImsicPage>,
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
                line <- RawSpinLock::new(Line, c"kvm_aia_line", static_lock_class!()),
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

    /// It and its vCPU, for the protocols.
    #[inline(always)]
    pub(crate) fn of<'a>(&'a self, vcpu: &'a Vcpu) -> VcpuImsicRef<'a> {
        VcpuImsicRef { vcpu, imsic: self }
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

        inject::inject(self.of(vcpu), eiid);
        Ok(())
    }

    /// Whether an interrupt is in the guest file. A file of another CPU may have one.
    ///
    /// Without a lock: who takes the file away meanwhile wakes the vCPU up afterwards. If the thread
    /// moves between the two looks at its CPU, it may take the other one's interrupts for its own; it
    /// looks again before it runs, and is woken up as soon as it waits.
    pub(crate) fn has_interrupt(&self) -> bool {
        BoundTo::unpack(self.bound.load())
            .is_some_and(|(on, line)| !is_here(on) || self.host.pending() & line.bit() != 0)
    }

    /// The vCPU's thread stops running to wait: lets the guest file wake it up, be it at once.
    /// Preemption is off.
    ///
    /// If the thread has come from the CPU of the file without having run the guest here, that CPU
    /// will wake it up: there it was on its way to sleep, too.
    pub(crate) fn wake_on_interrupt(&self) {
        let irqs_off = local_interrupt_disable();

        // Without the lock: only this CPU takes the file away, which is at this, or who has the
        // vCPU's mutex, and that is its thread.
        if let Some((on, line)) = BoundTo::unpack(self.bound.load()) {
            if is_here(on) {
                self.host.hart(&irqs_off).enable(line.bit());
            }
        }
    }

    /// Resets the interrupt file (AIA 3.4). By the vCPU's thread, or with its mutex held.
    pub(crate) fn reset(&self, vcpu: &Vcpu) {
        release::reset(self.of(vcpu));
    }

    /// The vCPU goes away: gives its guest file back, and waits for whoever still uses the vCPU.
    pub(crate) fn destroy(&self, vcpu: &Vcpu) {
        release::destroy(self.of(vcpu));
    }

    /// The identity for which the file in memory interrupts.
    #[inline]
    pub(crate) fn top(&self) -> Option<Eiid> {
        self.file.top()
    }

    /// The guest reads `*topei`, and claims what it reads by a write (AIA 3.9).
    pub(crate) fn access_topei(&self, vcpu: &VcpuLocked<'_>, write: bool) -> u64 {
        if !write {
            return aia_core::eix::topei_value(self.file.top());
        }
        aia_core::eix::topei_value(access::claim(self.of(vcpu)))
    }

    /// The guest accesses a register of the file in memory: bits of `mask` become those of `value`.
    /// Returns the old value, or [`None`] if it is no register of an interrupt file.
    pub(crate) fn access(
        &self,
        vcpu: &VcpuLocked<'_>,
        register: Register,
        value: u64,
        mask: u64,
    ) -> Option<u64> {
        access::access(self.of(vcpu), register, value, mask)
    }
}

/// Whether `cpu` is the running one.
#[inline(always)]
fn is_here(cpu: Cpu) -> bool {
    cpu == Cpu::new(CpuId::current().as_u32())
}

/// Whether `vcpu` has an interrupt file, and what it is.
#[inline(always)]
pub(crate) fn of(vcpu: &Vcpu) -> Option<&VcpuImsic> {
    ffi::imsic(vcpu)
}
