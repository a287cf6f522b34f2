// SPDX-License-Identifier: GPL-2.0

//! Where the state of a vCPU's interrupt file is, and who may move it.
//!
//! The state is in a software file (SW-file) or in a guest interrupt file of some CPU. Three
//! parties want to move it: the vCPU's own thread, which follows its CPU; a CPU that goes offline,
//! whose guest files vanish; and whoever takes the vCPU away. A [`Binding`] lets only one of them
//! at a time: who gets the file out of it is the one who saves what is in there.
//!
//! ```text
//!              begin_move                  finish_move
//!    Software ------------->            ---------------> Bound
//!       ^ ^  <-------------   Moving   <---------------   | |
//!       | |    cancel_move                 begin_move     | |
//!       | |                                               | |
//!       | +---------------- Releasing <-------------------+ |
//!       |   finish_release              begin_release       |
//!       +---------------------------------------------------+
//!                              destroy
//! ```
//!
//! # Rules
//!
//! - All methods are called under one lock of the vCPU. An MSI is delivered under that lock too, to
//!   where [`Binding::delivers_to`] says; a store to a guest file must be ordered before the unlock
//!   (on RISC-V `fence o, w`). So whoever took the file out finds in it all that was delivered.
//! - While the state moves, MSIs go to the SW-file. The mover takes out what is in there and calls
//!   [`Binding::finish_move`] without giving up the lock in between.
//! - A file's line is freed ([`super::hgei::Lines::free`]) after the file was read, and before
//!   [`Binding::finish_move`] or [`Binding::finish_release`]. A CPU that goes offline and is told
//!   [`Release::Busy`] must not go before the other one has read the file; that is so at the latest
//!   when all its lines are free.
//! - A vCPU is freed only after its lines are. Who finds it as the owner of a line may thus use it
//!   while it holds the lock of the lines; the lock of a vCPU nests inside that one. After
//!   [`Binding::begin_release`] gave it the file, it may use the vCPU until
//!   [`Binding::finish_release`]: until then, [`Binding::destroy`] says [`Release::Busy`].

use crate::ids::{
    Cpu,
    Hgei, //
};

/// A guest interrupt file that its holder alone may use.
pub trait GuestFile {
    /// The CPU whose interrupt file it is.
    fn cpu(&self) -> Cpu;

    /// The guest external interrupt of that CPU that the file drives.
    fn hgei(&self) -> Hgei;
}

/// Where the state of a vCPU's interrupt file is; `F` is the owned guest file.
#[derive(Debug, Default, Eq, PartialEq)]
pub enum Binding<F> {
    /// In the SW-file.
    #[default]
    Software,
    /// In this guest file.
    Bound(F),
    /// On its way to a guest file; the vCPU's own thread is at it.
    Moving,
    /// On its way from a guest file to the SW-file; somebody else may be at it.
    Releasing,
}

/// What the vCPU's own thread has to do to get its state into another guest file.
#[derive(Debug, Eq, PartialEq)]
#[must_use]
pub enum Begin<F> {
    /// The state is in the SW-file alone.
    FromSoftware,
    /// Save what is in this file, then free it. The SW-file has what arrives from now on.
    From(F),
    /// Somebody else moves the state: give up the lock, wait, begin again.
    Wait,
}

/// What somebody has to do who wants to take away the guest file of a vCPU.
#[derive(Debug, Eq, PartialEq)]
#[must_use]
pub enum Release<F> {
    /// Save what is in this file, then free it.
    File(F),
    /// There is no such file.
    Nothing,
    /// Somebody else moves the state: give up the lock, wait, look again.
    Busy,
}

impl<F: GuestFile> Binding<F> {
    /// Begins to move the state to another guest file; the vCPU's own thread calls this.
    ///
    /// Ends with [`Self::finish_move`] or [`Self::cancel_move`], unless it returns
    /// [`Begin::Wait`], which changes nothing.
    pub fn begin_move(&mut self) -> Begin<F> {
        match core::mem::replace(self, Self::Moving) {
            Self::Software => Begin::FromSoftware,
            Self::Bound(old) => Begin::From(old),
            // A second move cannot be, since a vCPU has one thread.
            Self::Moving => Begin::Wait,
            Self::Releasing => {
                *self = Self::Releasing;
                Begin::Wait
            }
        }
    }

    /// Ends a move: MSIs go to `new` from now on.
    ///
    /// Gives `new` back, and changes nothing, if no move was begun.
    pub fn finish_move(&mut self, new: F) -> Result<(), F> {
        match self {
            Self::Moving => {
                *self = Self::Bound(new);
                Ok(())
            }
            _ => Err(new),
        }
    }

    /// Ends a move that has no guest file to go to: the state is in the SW-file again.
    ///
    /// Returns `false`, and changes nothing, if no move was begun.
    pub fn cancel_move(&mut self) -> bool {
        let moving = matches!(self, Self::Moving);

        if moving {
            *self = Self::Software;
        }
        moving
    }

    /// Begins to move the state to the SW-file, because the vCPU gives its guest file up (`on` is
    /// [`None`]), or because a CPU goes offline: then only a file of that CPU is meant.
    ///
    /// Ends with [`Self::finish_release`] if it returned a file; otherwise it changed nothing.
    pub fn begin_release(&mut self, on: Option<Cpu>) -> Release<F> {
        match self {
            Self::Bound(file) if on.is_none_or(|cpu| file.cpu() == cpu) => {
                self.take(Self::Releasing)
            }
            Self::Bound(_) | Self::Software => Release::Nothing,
            // The file in question may be in the hands of who is at it.
            Self::Moving | Self::Releasing => Release::Busy,
        }
    }

    /// Ends a release: the state is in the SW-file. After this, and after the lock was given up,
    /// the vCPU may be gone.
    ///
    /// Returns `false`, and changes nothing, if no release was begun.
    pub fn finish_release(&mut self) -> bool {
        let releasing = matches!(self, Self::Releasing);

        if releasing {
            *self = Self::Software;
        }
        releasing
    }

    /// Ends everything, because the vCPU goes away: a file is to be freed, and what is in it does
    /// not matter.
    ///
    /// [`Release::Busy`] if a CPU that goes offline still uses the vCPU; nothing changed then.
    pub fn destroy(&mut self) -> Release<F> {
        match self {
            Self::Software => Release::Nothing,
            Self::Bound(_) => self.take(Self::Software),
            Self::Moving | Self::Releasing => Release::Busy,
        }
    }

    /// Takes the file out and leaves `next`.
    fn take(&mut self, next: Self) -> Release<F> {
        match core::mem::replace(self, next) {
            Self::Bound(file) => Release::File(file),
            _ => Release::Nothing,
        }
    }

    /// Returns the guest file that has the state; [`None`] if it is elsewhere or moving.
    #[inline]
    pub fn file(&self) -> Option<&F> {
        match self {
            Self::Bound(file) => Some(file),
            _ => None,
        }
    }

    /// Returns the guest file that an MSI has to be stored to; [`None`] if it goes to the SW-file.
    #[inline]
    pub fn delivers_to(&self) -> Option<&F> {
        self.file()
    }
}

/// The CPU and the line of a guest file in one word, for those who look without the lock.
///
/// ```text
/// 63     32 31      6 5    0
/// |  CPU   |    0    | line |
/// ---------------------------
/// ```
///
/// The word is 0 if there is no file. Whoever changes a [`Binding`] updates the word under the same
/// lock.
pub enum BoundTo {}

impl BoundTo {
    const CPU_SHIFT: u32 = 32;

    /// Returns the word that stands for `file`.
    #[inline]
    pub const fn pack(file: Option<(Cpu, Hgei)>) -> u64 {
        match file {
            Some((cpu, hgei)) => (cpu.get() as u64) << Self::CPU_SHIFT | hgei.get() as u64,
            None => 0,
        }
    }

    /// Returns the file that `word` stands for; [`None`] also if [`Self::pack`] cannot make such a
    /// word.
    #[inline]
    pub const fn unpack(word: u64) -> Option<(Cpu, Hgei)> {
        // CAST: The two halves.
        match Hgei::new(word as u32) {
            Some(hgei) => Some((Cpu::new((word >> Self::CPU_SHIFT) as u32), hgei)),
            None => None,
        }
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_guest_binding))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;

    #[derive(Debug, Eq, PartialEq)]
    struct File(u32);

    impl GuestFile for File {
        fn cpu(&self) -> Cpu {
            Cpu::new(self.0)
        }

        fn hgei(&self) -> Hgei {
            Hgei::MIN
        }
    }

    const CPU: Option<Cpu> = Some(Cpu::new(3));

    fn bound() -> Binding<File> {
        Binding::Bound(File(3))
    }

    #[test]
    fn begin_move() {
        let mut binding = Binding::<File>::default();
        assert_eq!(binding, Binding::Software);
        assert_eq!(binding.begin_move(), Begin::FromSoftware);
        assert_eq!(binding, Binding::Moving);
        assert_eq!(binding.begin_move(), Begin::Wait);
        assert_eq!(binding, Binding::Moving);

        let mut binding = bound();
        assert_eq!(binding.begin_move(), Begin::From(File(3)));
        assert_eq!(binding, Binding::Moving);

        // Candidate 9b: who comes second does not read the file that is being emptied.
        let mut binding = Binding::<File>::Releasing;
        assert_eq!(binding.begin_move(), Begin::Wait);
        assert_eq!(binding, Binding::Releasing);
    }

    #[test]
    fn end_move() {
        let mut binding = Binding::Moving;
        assert_eq!(binding.finish_move(File(4)), Ok(()));
        assert_eq!(binding, Binding::Bound(File(4)));
        assert_eq!(binding.finish_move(File(5)), Err(File(5)));
        assert!(!binding.cancel_move());
        assert_eq!(binding, Binding::Bound(File(4)));

        let mut binding = Binding::<File>::Moving;
        assert!(binding.cancel_move());
        assert_eq!(binding, Binding::Software);
        assert!(!binding.cancel_move());
        assert_eq!(binding.finish_move(File(5)), Err(File(5)));
        assert_eq!(binding, Binding::Software);

        let mut binding = Binding::Releasing;
        assert_eq!(binding.finish_move(File(5)), Err(File(5)));
        assert!(!binding.cancel_move());
        assert_eq!(binding, Binding::Releasing);
    }

    #[test]
    fn begin_release() {
        for on in [None, CPU] {
            let mut binding = bound();
            assert_eq!(binding.begin_release(on), Release::File(File(3)));
            assert_eq!(binding, Binding::Releasing);
            // Two CPUs cannot both have it.
            assert_eq!(binding.begin_release(on), Release::Busy);
            assert_eq!(binding, Binding::Releasing);

            let mut binding = Binding::<File>::Software;
            assert_eq!(binding.begin_release(on), Release::Nothing);
            assert_eq!(binding, Binding::Software);

            let mut binding = Binding::<File>::Moving;
            assert_eq!(binding.begin_release(on), Release::Busy);
            assert_eq!(binding, Binding::Moving);
        }
    }

    #[test]
    fn another_cpus_file_is_not_released() {
        let mut binding = bound();
        assert_eq!(binding.begin_release(Some(Cpu::new(2))), Release::Nothing);
        assert_eq!(binding, bound());
    }

    #[test]
    fn end_release() {
        let mut binding = Binding::<File>::Releasing;
        assert!(binding.finish_release());
        assert_eq!(binding, Binding::Software);
        assert!(!binding.finish_release());
        assert_eq!(binding, Binding::Software);

        let mut binding = Binding::<File>::Moving;
        assert!(!binding.finish_release());
        assert_eq!(binding, Binding::Moving);

        let mut binding = bound();
        assert!(!binding.finish_release());
        assert_eq!(binding, bound());
    }

    #[test]
    fn destroy() {
        let mut binding = bound();
        assert_eq!(binding.destroy(), Release::File(File(3)));
        assert_eq!(binding, Binding::Software);
        assert_eq!(binding.destroy(), Release::Nothing);

        // Candidate 9a: the vCPU stays while somebody uses it.
        let mut binding = Binding::<File>::Releasing;
        assert_eq!(binding.destroy(), Release::Busy);
        assert_eq!(binding, Binding::Releasing);

        let mut binding = Binding::<File>::Moving;
        assert_eq!(binding.destroy(), Release::Busy);
        assert_eq!(binding, Binding::Moving);
    }

    #[test]
    fn only_a_bound_file_gets_msis() {
        assert_eq!(bound().file(), Some(&File(3)));
        assert_eq!(bound().delivers_to(), Some(&File(3)));
        for binding in [Binding::Software, Binding::Moving, Binding::Releasing] {
            let binding: Binding<File> = binding;
            assert_eq!(binding.file(), None);
            assert_eq!(binding.delivers_to(), None);
        }
    }

    #[test]
    fn one_word_for_those_without_the_lock() {
        assert_eq!(BoundTo::pack(None), 0);
        assert_eq!(BoundTo::unpack(0), None);
        for cpu in [0, 1, 8191, u32::MAX] {
            for line in [Hgei::MIN, Hgei::MAX] {
                let file = Some((Cpu::new(cpu), line));
                assert_ne!(BoundTo::pack(file), 0);
                assert_eq!(BoundTo::unpack(BoundTo::pack(file)), file);
            }
        }
        assert_eq!(BoundTo::pack(Some((Cpu::new(2), Hgei::MAX))), 0x2_0000_003f);
        // No line, and no line.
        assert_eq!(BoundTo::unpack(0x2_0000_0000), None);
        assert_eq!(BoundTo::unpack(0x2_0000_0040), None);
        assert_eq!(BoundTo::unpack(u64::MAX), None);
    }
}
