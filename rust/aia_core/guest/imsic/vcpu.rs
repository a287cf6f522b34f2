// SPDX-License-Identifier: GPL-2.0

//! What the protocols of a vCPU's interrupt file touch.

use crate::{
    guest::{
        binding::{
            Binding,
            BoundTo,
            GuestFileLocation, //
        },
        file::{
            FileRegisters,
            Settled, //
        },
    },
    ids::{
        Cpu,
        Eiid,
        Hgei,
        NrIds, //
    },
    swfile::SwFile,
    word::Word, //
};

/// A guest interrupt file that belongs to whoever has the value; given back when dropped.
pub trait GuestFile: GuestFileLocation {
    /// Its registers.
    type Registers<'a>: FileRegisters
    where
        Self: 'a;

    /// Stores an MSI, from any hart.
    fn store(&self, eiid: Eiid);

    /// Calls `f` with the registers. On its own hart, where nobody interrupts that.
    fn here<R>(&self, f: impl FnOnce(&Self::Registers<'_>) -> R) -> R;

    /// Returns whether it was settled when it was last given back ([`Lines`]). It is not from now on.
    ///
    /// [`Lines`]: crate::guest::hgei::Lines
    fn take_settled(&mut self) -> bool;

    /// Says whether it is settled, for its next owner.
    fn set_settled(&mut self, settled: Settled);
}

/// The hart has gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Offline;

/// A vCPU's external interrupt in software, while nobody else looks at it or changes it.
pub trait Vseip {
    /// Whether there is one.
    fn is_pending(&self) -> bool;

    /// Says whether there is one, and wakes the vCPU up if so.
    fn set(&mut self, pending: bool);
}

/// What has happened to a vCPU's interrupt file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// An MSI of the host was stored to its guest file.
    MsiToFile(Eiid),
    /// An MSI of the host went to the file in memory.
    MsiToMemory(Eiid),
    /// The state followed the vCPU to this guest file of the running hart.
    Moved(Hgei),
    /// The running hart, which goes offline, took this guest file away.
    Evicted(Hgei),
    /// It took this guest file of another vCPU, on the running hart.
    Stole(Hgei),
    /// Another vCPU took this guest file, on the running hart.
    Robbed(Hgei),
}

/// A vCPU and its interrupt file, as long as the value lives.
pub trait InterruptFile: Copy + Send + Sync {
    /// A guest interrupt file.
    type File: GuestFile + Send + Sync;
    /// The external interrupt in software.
    type Vseip<'a>: Vseip;
    /// Why a page cannot be mapped.
    type Error;

    /// Calls `f` with the lock of the binding held, and with interrupts off. Inside of all other
    /// locks.
    fn with_binding<R: Send>(self, f: impl FnOnce(&mut Binding<Self::File>) -> R + Send) -> R;

    /// The word for those who look without the lock, [`BoundTo`].
    fn bound(&self) -> &Word;

    /// The interrupt file in memory.
    fn sw_file(&self) -> &SwFile;

    /// Calls `f` with the vCPU's external interrupt in software, which one at a time has: under a lock.
    fn with_vseip(self, f: impl FnOnce(&mut Self::Vseip<'_>) + Send);

    /// How many identities the guest files of harts have.
    fn hart_ids(self) -> NrIds;

    /// Turns the guest's page to `file`, for all vCPUs.
    ///
    /// When it returns, no vCPU can store to what was there before; what one had stored there is
    /// ordered, by a `fence o, w` of its hart, before something that the calling hart has read. Fails,
    /// and changes nothing, if there is no memory for a page table.
    fn map(self, file: &Self::File) -> Result<(), Self::Error>;

    /// If the guest's page is that of `file`, takes it away: stores of vCPUs trap. All that
    /// [`Self::map`] says of them holds in any case.
    fn unmap(self, file: &Self::File);

    /// Calls `f` on `cpu`, which may be the running one, with interrupts off, and waits.
    fn call_on<R: Send>(self, cpu: Cpu, f: impl FnOnce() -> R + Send) -> Result<R, Offline>;

    /// Waits a moment for somebody else who moves the state: a hart that goes offline, another vCPU's
    /// thread that takes the file, or, without holding any lock, the vCPU's own thread. To be called
    /// again.
    fn wait(self);

    /// Counts `event`, for who looks at the machine. Any context. Of those that come at the same time
    /// some may not be counted.
    fn count(self, event: Event);

    /// The hart of `file` went while it had the state, which is lost. It should not.
    fn report_lost(self, file: &Self::File);
}

/// Changes the binding, and the word for those without the lock with it.
pub(super) fn change<V: InterruptFile, R: Send>(
    vcpu: V,
    f: impl FnOnce(&mut Binding<V::File>) -> R + Send,
) -> R {
    vcpu.with_binding(|binding| {
        let result = f(binding);

        vcpu.bound().store_release(BoundTo::of(binding));
        result
    })
}
