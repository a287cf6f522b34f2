// SPDX-License-Identifier: GPL-2.0

//! The APLIC of a virtual machine: storage and bus for [`aia_core::guest_aplic`].

use aia_core::{
    addr::{
        Guest,
        PhysAddr, //
    },
    aplic::target::MsiTarget,
    guest_aplic::{
        regs::Register,
        word::SourceWord,
        Aplic,
        Sink,
        Words, //
    },
    ids::{
        NrSources,
        SourceId, //
    },
    nospec::IndexMask, //
};
use kernel::{
    prelude::*,
    static_lock_class, //
};
use kernel_ext::sync::RawSpinLock;
use kvm_ext::{
    io_bus::{
        IoDevice,
        Mmio, //
    },
    Vcpu,
    Vm, //
};

use crate::{
    ffi,
    vm::VmAia, //
};

/// The words of an APLIC, each with a lock. Rank "word": outside of all other locks here, never two
/// at once.
pub(crate) struct LockedWords {
    words: KVec<Pin<KBox<RawSpinLock<SourceWord>>>>,
    /// Of all words.
    indexes: IndexMask,
}

impl LockedWords {
    fn new(nr_sources: NrSources) -> Result<Self> {
        let indexes = IndexMask::for_at_least(usize::try_from(nr_sources.words())?);
        let mut words = KVec::with_capacity(indexes.entries(), GFP_KERNEL_ACCOUNT)?;

        for _ in 0..indexes.entries() {
            words.push(
                KBox::pin_init(
                    RawSpinLock::new(SourceWord::new(), c"kvm_aia_word", static_lock_class!()),
                    GFP_KERNEL_ACCOUNT,
                )?,
                GFP_KERNEL_ACCOUNT,
            )?;
        }
        Ok(Self { words, indexes })
    }
}

impl Words for LockedWords {
    fn count(&self) -> usize {
        self.words.len()
    }

    #[inline]
    fn with<R>(&self, word: usize, f: impl FnOnce(&mut SourceWord) -> R) -> Option<R> {
        if word >= self.words.len() {
            return None;
        }
        let lock = self.indexes.get(&self.words, word)?;

        Some(f(&mut lock.lock()))
    }
}

/// The APLIC of a virtual machine.
pub(crate) struct VmAplic {
    pub(crate) domain: Aplic<LockedWords>,
    address: PhysAddr<Guest>,
    _page: IoDevice<AplicPage>,
}

impl VmAplic {
    /// Makes an APLIC whose registers are at `address`. May sleep.
    pub(crate) fn new(
        nr_sources: NrSources,
        address: PhysAddr<Guest>,
        page: IoDevice<AplicPage>,
    ) -> Result<Self> {
        Ok(Self {
            domain: Aplic::new(nr_sources, LockedWords::new(nr_sources)?).ok_or(EINVAL)?,
            address,
            _page: page,
        })
    }

    /// The register at `offset`.
    ///
    /// Fails with `EOPNOTSUPP` if the offset is not a multiple of 4, and with `ENODEV` if there is
    /// none.
    pub(crate) fn register(&self, offset: u64) -> Result<Register> {
        if offset % 4 != 0 {
            return Err(EOPNOTSUPP);
        }
        Register::decode(offset, self.domain.nr_sources()).ok_or(ENODEV)
    }

    /// A device sends an MSI of `data` to `addr`: two of the registers are ports for that
    /// (AIA 4.5.13, 4.5.14). Others, and other addresses, ignore it.
    #[cold]
    pub(crate) fn receive(&self, addr: PhysAddr<Guest>, data: u32, sink: &ToVcpus<'_>) {
        let register = addr
            .get()
            .checked_sub(self.address.get())
            .and_then(|offset| Register::decode(offset, self.domain.nr_sources()));

        if let Some(port @ (Register::SetIpNumLe | Register::SetIpNumBe)) = register {
            self.domain.write(port, data, sink);
        }
    }
}

/// MSIs of an APLIC go to the vCPUs of its virtual machine.
pub(crate) struct ToVcpus<'a>(pub(crate) &'a VmAia);

impl Sink for ToVcpus<'_> {
    fn send(&self, target: MsiTarget) {
        // Who is not there gets nothing.
        let _ = self
            .0
            .inject(target.hart.get(), target.guest.get(), 0, target.eiid.get());
    }
}

/// Asks who has raised the wires of `sources` whether they are still high: a guest is about to rely
/// on it. An irqfd with `KVM_IRQFD_FLAG_RESAMPLE` lowers its wire, and its device raises it again.
#[cold]
fn resample(vm: &Vm, sources: impl Iterator<Item = SourceId>) {
    for source in sources {
        vm.notify_acked(source.get());
    }
}

/// The registers of the APLIC.
pub(crate) struct AplicPage;

impl AplicPage {
    /// The APLIC, and the register at `addr`, which an access of `size` bytes wants; no register
    /// where all is reserved: read-only zero (AIA 4.5).
    fn find(vcpu: &Vcpu, addr: u64, size: usize) -> Result<(&VmAia, &VmAplic, Option<Register>)> {
        if size != 4 || addr % 4 != 0 {
            return Err(EOPNOTSUPP);
        }
        let aia = ffi::aia(vcpu.vm()).ok_or(ENODEV)?;
        let aplic = aia.aplic.as_ref().ok_or(ENODEV)?;
        let offset = addr.checked_sub(aplic.address.get()).ok_or(ENODEV)?;

        Ok((
            aia,
            aplic,
            Register::decode(offset, aplic.domain.nr_sources()),
        ))
    }
}

impl Mmio for AplicPage {
    fn read(vcpu: &Vcpu, addr: u64, data: &mut [u8]) -> Result {
        let (_, aplic, register) = Self::find(vcpu, addr, data.len())?;
        let value = register.map_or(0, |register| {
            if vcpu.vm().has_ack_notifiers() {
                resample(vcpu.vm(), aplic.domain.sampled_by_read(register));
            }
            aplic.domain.read(register)
        });

        data.copy_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn write(vcpu: &Vcpu, addr: u64, data: &[u8]) -> Result {
        let (aia, aplic, register) = Self::find(vcpu, addr, data.len())?;
        let value = u32::from_le_bytes(data.try_into().map_err(|_| EOPNOTSUPP)?);

        if let Some(register) = register {
            if vcpu.vm().has_ack_notifiers() {
                resample(vcpu.vm(), aplic.domain.sampled_by_write(register, value));
            }
            aplic.domain.write(register, value, &ToVcpus(aia));
        }
        Ok(())
    }
}
