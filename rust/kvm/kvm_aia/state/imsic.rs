// SPDX-License-Identifier: GPL-2.0

//! The interrupt file of a vCPU: in a guest interrupt file of the hardware, or in memory.

use core::mem::offset_of;

use aia_core::{
    addr::{
        Guest,
        PhysAddr, //
    },
    guest::{
        binding::Binding,
        config::{
            Config,
            Mode, //
        }, //
    },
    swfile::SwFile,
    word::Word, //
};
use kernel::{
    prelude::*,
    static_lock_class,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        SetOnce, //
    }, //
};
use kernel_ext::sync::ScopedLock;
use kvm_ext::io_bus::IoDevice;

use super::{
    guest_file::GuestFile,
    host::HostAia,
    translations::VmTranslations, //
};

/// The right to change `hvip.VSEIP` of a vCPU.
pub(crate) struct VseipRight;

/// The interrupt file of a vCPU.
///
/// What guest entry reads comes first, and in a cache line of its own: each MSI writes to what follows.
#[pin_data]
#[repr(C, align(64))]
pub(crate) struct VcpuImsic {
    /// The CPU and HGEI of the guest file, for guest entry: see [`BoundTo`].
    ///
    /// [`BoundTo`]: aia_core::guest::binding::BoundTo
    pub(crate) bound: Word,
    pub(crate) host: &'static HostAia,
    pub(crate) address: PhysAddr<Guest>,
    /// Those of its virtual machine.
    pub(crate) translations: Arc<VmTranslations>,
    /// When the vCPU's thread last left its CPU, as [`riscv::time`] counts; for who looks for a victim.
    ///
    /// [`riscv::time`]: kernel_ext::arch::riscv::time
    ran: Atomic<u64>,
    /// Whether guest files are used.
    pub(crate) mode: Mode,
    /// Of the reset that the vCPU's thread has been asked for, this part is done.
    reset_begun: Atomic<bool>,
    _apart: [usize; 2],
    /// Rank "binding": inside of the scheduler's locks.
    #[pin]
    pub(crate) binding: ScopedLock<Binding<GuestFile>>,
    pub(crate) sw_file: SwFile,
    /// Rank "vseip": the software interrupt of the vCPU is what the file says. Outside of the
    /// scheduler's locks.
    #[pin]
    pub(crate) vseip: ScopedLock<VseipRight>,
    /// Its page, unless that is among those of its virtual machine.
    page: SetOnce<IoDevice>,
}

const _: () = assert!(offset_of!(VcpuImsic, binding) == align_of::<VcpuImsic>());

impl VcpuImsic {
    /// Makes the interrupt file of a vCPU at `address`, whose page is one of those that its virtual machine
    /// has, unless it gets [its own](Self::set_page). May sleep.
    pub(crate) fn new(
        host: &'static HostAia,
        config: &Config,
        translations: Arc<VmTranslations>,
        address: PhysAddr<Guest>,
    ) -> Result<Pin<KBox<Self>>> {
        KBox::pin_init(
            pin_init!(Self {
                bound: Word::new(0),
                binding <- ScopedLock::new(
                    Binding::Software,
                    c"kvm_aia_binding",
                    static_lock_class!()
                ),
                vseip <- ScopedLock::new(VseipRight, c"kvm_aia_vseip", static_lock_class!()),
                sw_file: SwFile::new(config.nr_ids()),
                mode: config.mode(),
                host,
                address,
                translations,
                ran: Atomic::new(0),
                reset_begun: Atomic::new(false),
                _apart: [0; 2],
                page: SetOnce::new(),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Gives it a page of its own, before anybody knows it.
    pub(crate) fn set_page(&self, page: IoDevice) {
        self.page.populate(page);
    }

    /// The vCPU's thread leaves its CPU, at the time `now`.
    #[inline]
    pub(crate) fn set_ran(&self, now: u64) {
        self.ran.store(now, Relaxed);
    }

    /// When it last did.
    #[inline]
    pub(crate) fn ran(&self) -> u64 {
        self.ran.load(Relaxed)
    }

    /// The vCPU's thread is asked for a reset, of which this part is done, or not. The request orders
    /// this before [`Self::take_reset_begun`].
    pub(crate) fn set_reset_begun(&self, begun: bool) {
        self.reset_begun.store(begun, Relaxed);
    }

    /// The vCPU's thread carries out a reset: whether this part is done. Only once.
    pub(crate) fn take_reset_begun(&self) -> bool {
        self.reset_begun.xchg(false, Relaxed)
    }

    /// Where the guest sees it.
    #[inline]
    pub(crate) fn address(&self) -> PhysAddr<Guest> {
        self.address
    }
}
