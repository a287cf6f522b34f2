// SPDX-License-Identifier: GPL-2.0

//! The APLIC of a virtual machine: storage for [`aia_core::guest_aplic`].

use aia_core::{
    addr::{
        Guest,
        PhysAddr, //
    },
    guest_aplic::{
        regs::AplicRegister,
        word::SourceWord,
        Aplic,
        MsiSink,
        SourceWords, //
    },
    ids::NrSources,
    nospec::IndexMask, //
};
use kernel::{
    prelude::*,
    static_lock_class, //
};
use kernel_ext::sync::ScopedLock;
use kvm_ext::io_bus::IoDevice;

/// The words of an APLIC, each with a lock. Rank "word": outside of all other locks here, never two
/// at once.
pub(crate) struct LockedWords {
    words: KVec<Pin<KBox<ScopedLock<SourceWord>>>>,
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
                    ScopedLock::new(SourceWord::new(), c"kvm_aia_word", static_lock_class!()),
                    GFP_KERNEL_ACCOUNT,
                )?,
                GFP_KERNEL_ACCOUNT,
            )?;
        }
        Ok(Self { words, indexes })
    }
}

impl SourceWords for LockedWords {
    fn count(&self) -> usize {
        self.words.len()
    }

    #[inline]
    fn with<R: Send>(&self, word: usize, f: impl FnOnce(&mut SourceWord) -> R + Send) -> Option<R> {
        if word >= self.words.len() {
            return None;
        }
        let lock = self.indexes.get(&self.words, word)?;

        Some(lock.with(f))
    }
}

/// The APLIC of a virtual machine.
pub(crate) struct VmAplic {
    pub(crate) domain: Aplic<LockedWords>,
    pub(crate) address: PhysAddr<Guest>,
    _page: IoDevice,
}

impl VmAplic {
    /// Makes an APLIC whose registers are at `address`. May sleep.
    pub(crate) fn new(
        nr_sources: NrSources,
        address: PhysAddr<Guest>,
        page: IoDevice,
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
    pub(crate) fn register(&self, offset: u64) -> Result<AplicRegister> {
        if offset % 4 != 0 {
            return Err(EOPNOTSUPP);
        }
        AplicRegister::decode(offset, self.domain.nr_sources()).ok_or(ENODEV)
    }

    /// A device sends an MSI of `data` to `addr`: two of the registers are ports for that
    /// (AIA 4.5.13, 4.5.14). Others, and other addresses, ignore it.
    #[cold]
    pub(crate) fn receive(&self, addr: PhysAddr<Guest>, data: u32, sink: &impl MsiSink) {
        let register = addr
            .get()
            .checked_sub(self.address.get())
            .and_then(|offset| AplicRegister::decode(offset, self.domain.nr_sources()));

        if let Some(port @ (AplicRegister::SetIpNumLe | AplicRegister::SetIpNumBe)) = register {
            self.domain.write(port, data, sink);
        }
    }
}
