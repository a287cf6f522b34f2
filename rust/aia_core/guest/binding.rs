// SPDX-License-Identifier: GPL-2.0

//! Where the state of a vCPU's interrupt file is, and who may move it.
//!
//! The state is in a software file (SW-file) or in a guest interrupt file of some CPU. Five
//! parties want to move it: the vCPU's own thread, which follows its CPU; a CPU that goes offline,
//! whose guest files vanish; another vCPU, which is about to run on a CPU without a free file; user
//! space, which resets or replaces the state; and whoever takes the vCPU away. A [`Binding`] lets
//! only one of them at a time: who gets the file out of it is the one who saves what is in there, if
//! anybody needs that.
//!
//! ```text
//!               begin_move               finish_move
//!    Software ------------->   Moving   ------------->   Bound
//!       ^ ^                      ^                        | |
//!       | |                      +------------------------+ |
//!       | |                              begin_move         |
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
//!   (on RISC-V `fence o, w`). So whoever took the file out finds in it all that was delivered, once
//!   it has settled ([`super::file`]).
//! - A move that was begun cannot fail: what can is done before. A CPU that goes offline may so leave
//!   the file to who has it.
//! - While the state moves, MSIs go to the SW-file. The mover takes out what is in there and calls
//!   [`Binding::finish_move`] without giving up the lock in between.
//! - A file's line is freed ([`super::hgei::Lines::free`]), or gets another owner
//!   ([`super::hgei::Lines::pass_on`]), after the file was read, if its state is needed, and before
//!   [`Binding::finish_move`] or [`Binding::finish_release`]. A CPU that goes offline and is told
//!   [`Busy`] must not go before the other one has read the file, if it does.
//! - A vCPU is freed only after its lines are. Who finds it as the owner of a line may thus use it
//!   while it holds the lock of the lines; the lock of a vCPU nests inside that one. After
//!   [`Binding::begin_release`] gave it the file, it may use the vCPU until
//!   [`Binding::finish_release`]: until then, [`Binding::destroy`] says [`Busy`].

use crate::ids::{
    Cpu,
    Hgei, //
};

/// Which guest interrupt file of which hart it is.
pub trait GuestFileLocation {
    /// The CPU whose interrupt file it is.
    fn cpu(&self) -> Cpu;

    /// The guest external interrupt of that CPU that the file drives.
    fn hgei(&self) -> Hgei;
}

/// Where the state of a vCPU's interrupt file is; `F` is the owned guest file.
// Each MSI looks at the tag: one of its own is cheaper than a niche of the file. A whole word, after which
// a file can be copied by words.
#[derive(Debug, Default, Eq, PartialEq)]
#[repr(u64)]
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

/// Somebody else moves the state: give up the lock, wait, begin again. Nothing changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Busy;

/// Evidence that a move was begun and has to be finished.
#[derive(Debug, Eq, PartialEq)]
#[must_use = "the state is nowhere until the move is finished"]
pub struct BegunMove(());

/// Evidence that a release was begun and has to be finished.
#[derive(Debug, Eq, PartialEq)]
#[must_use = "the state is nowhere until the release is finished"]
pub struct BegunRelease(());

impl<F: GuestFileLocation> Binding<F> {
    /// Begins to move the state to another guest file; the vCPU's own thread calls this, when
    /// nothing can fail any more. Ends with [`Self::finish_move`].
    ///
    /// Returns the file that has the state, to be saved and freed; [`None`] if it is in the SW-file,
    /// which has what arrives from now on in any case.
    pub fn begin_move(&mut self) -> Result<(BegunMove, Option<F>), Busy> {
        match core::mem::replace(self, Self::Moving) {
            Self::Software => Ok((BegunMove(()), None)),
            Self::Bound(old) => Ok((BegunMove(()), Some(old))),
            // A second move cannot be, since a vCPU has one thread.
            Self::Moving => Err(Busy),
            Self::Releasing => {
                *self = Self::Releasing;
                Err(Busy)
            }
        }
    }

    /// Ends a move: MSIs go to `new` from now on.
    pub fn finish_move(&mut self, _begun: BegunMove, new: F) {
        *self = Self::Bound(new);
    }

    /// Begins to move the state to the SW-file, because the vCPU gives its guest file up (`on` is
    /// [`None`]), or because a CPU goes offline, or somebody there needs it: then only a file of that
    /// CPU is meant. Ends with [`Self::finish_release`].
    ///
    /// Returns the file, to be saved and freed; [`None`], and nothing was begun, if there is no such
    /// file. [`Busy`] if the file in question may be in the hands of somebody else.
    pub fn begin_release(&mut self, on: Option<Cpu>) -> Result<Option<(BegunRelease, F)>, Busy> {
        match self {
            Self::Bound(file) if on.is_none_or(|cpu| file.cpu() == cpu) => Ok(self
                .take(Self::Releasing)
                .map(|file| (BegunRelease(()), file))),
            Self::Bound(_) | Self::Software => Ok(None),
            Self::Moving | Self::Releasing => Err(Busy),
        }
    }

    /// Ends a release: the state is in the SW-file. After this, and after the lock was given up,
    /// the vCPU may be gone.
    pub fn finish_release(&mut self, _begun: BegunRelease) {
        *self = Self::Software;
    }

    /// Ends everything, because the vCPU goes away. Returns the file that is to be freed, if there is
    /// one; what is in it does not matter.
    ///
    /// [`Busy`] if a CPU that goes offline, or a thief, still uses the vCPU.
    pub fn destroy(&mut self) -> Result<Option<F>, Busy> {
        match self {
            Self::Software => Ok(None),
            Self::Bound(_) => Ok(self.take(Self::Software)),
            Self::Moving | Self::Releasing => Err(Busy),
        }
    }

    /// Takes the file out and leaves `next`.
    fn take(&mut self, next: Self) -> Option<F> {
        match core::mem::replace(self, next) {
            Self::Bound(file) => Some(file),
            _ => None,
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

/// Where the state is in one word, for those who look without the lock.
///
/// ```text
/// 63     32   31   30 6 5    0
/// |  CPU   | busy | 0  | line |
/// ----------------------------
/// ```
///
/// The word is 0 if the state is in the SW-file; while it moves, `busy` alone is set. Whoever changes
/// a [`Binding`] updates the word under the same lock.
pub enum BoundTo {}

impl BoundTo {
    const CPU_SHIFT: u32 = 32;
    const BUSY: u64 = 1 << 31;

    /// Returns the word that stands for `binding`.
    #[inline]
    pub fn of<F: GuestFileLocation>(binding: &Binding<F>) -> u64 {
        match binding {
            Binding::Bound(file) => {
                u64::from(file.cpu().get()) << Self::CPU_SHIFT | u64::from(file.hgei().get())
            }
            Binding::Software => 0,
            Binding::Moving | Binding::Releasing => Self::BUSY,
        }
    }

    /// Returns the guest file that `word` stands for; [`None`] if it stands for none, also if
    /// [`Self::of`] cannot make such a word.
    #[inline]
    pub const fn unpack(word: u64) -> Option<(Cpu, Hgei)> {
        // CAST: The two halves.
        match Hgei::new(word as u32) {
            Some(hgei) => Some((Cpu::new((word >> Self::CPU_SHIFT) as u32), hgei)),
            None => None,
        }
    }

    /// Returns whether `word` says that the state is in the SW-file, and does not move.
    #[inline]
    pub const fn is_software(word: u64) -> bool {
        word == 0
    }
}

#[cfg_attr(CONFIG_KUNIT, kernel::macros::kunit_tests(aia_core_guest_binding))]
#[cfg_attr(not(CONFIG_KUNIT), cfg(test))]
mod tests {
    use super::*;

    #[derive(Debug, Eq, PartialEq)]
    struct File(u32);

    impl GuestFileLocation for File {
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
    fn moves() {
        let mut binding = Binding::<File>::default();
        assert_eq!(binding, Binding::Software);
        let (begun, old) = binding.begin_move().unwrap();
        assert_eq!(old, None);
        assert_eq!(binding, Binding::Moving);
        assert_eq!(binding.begin_move(), Err(Busy));
        assert_eq!(binding, Binding::Moving);
        binding.finish_move(begun, File(4));
        assert_eq!(binding, Binding::Bound(File(4)));

        let (begun, old) = binding.begin_move().unwrap();
        assert_eq!(old, Some(File(4)));
        assert_eq!(binding, Binding::Moving);
        binding.finish_move(begun, File(5));
        assert_eq!(binding, Binding::Bound(File(5)));

        // Candidate 9b: who comes second does not read the file that is being emptied.
        let mut binding = Binding::<File>::Releasing;
        assert_eq!(binding.begin_move(), Err(Busy));
        assert_eq!(binding, Binding::Releasing);
    }

    #[test]
    fn releases() {
        for on in [None, CPU] {
            let mut binding = bound();
            let (begun, file) = binding.begin_release(on).unwrap().unwrap();
            assert_eq!(file, File(3));
            assert_eq!(binding, Binding::Releasing);
            // Two CPUs cannot both have it.
            assert_eq!(binding.begin_release(on), Err(Busy));
            assert_eq!(binding, Binding::Releasing);
            binding.finish_release(begun);
            assert_eq!(binding, Binding::Software);

            assert_eq!(binding.begin_release(on), Ok(None));
            assert_eq!(binding, Binding::Software);

            let mut binding = Binding::<File>::Moving;
            assert_eq!(binding.begin_release(on), Err(Busy));
            assert_eq!(binding, Binding::Moving);
        }
    }

    #[test]
    fn another_cpus_file_is_not_released() {
        let mut binding = bound();
        assert_eq!(binding.begin_release(Some(Cpu::new(2))), Ok(None));
        assert_eq!(binding, bound());
    }

    #[test]
    fn destroy() {
        let mut binding = bound();
        assert_eq!(binding.destroy(), Ok(Some(File(3))));
        assert_eq!(binding, Binding::Software);
        assert_eq!(binding.destroy(), Ok(None));

        // Candidate 9a: the vCPU stays while somebody uses it.
        let mut binding = Binding::<File>::Releasing;
        assert_eq!(binding.destroy(), Err(Busy));
        assert_eq!(binding, Binding::Releasing);

        let mut binding = Binding::<File>::Moving;
        assert_eq!(binding.destroy(), Err(Busy));
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
        struct At(Cpu, Hgei);

        impl GuestFileLocation for At {
            fn cpu(&self) -> Cpu {
                self.0
            }

            fn hgei(&self) -> Hgei {
                self.1
            }
        }

        for cpu in [0, 1, 8191, u32::MAX].map(Cpu::new) {
            for line in [Hgei::MIN, Hgei::MAX] {
                let word = BoundTo::of(&Binding::Bound(At(cpu, line)));
                assert!(!BoundTo::is_software(word));
                assert_eq!(BoundTo::unpack(word), Some((cpu, line)));
            }
        }
        assert_eq!(
            BoundTo::of(&Binding::Bound(At(Cpu::new(2), Hgei::MAX))),
            0x2_0000_003f
        );

        assert!(BoundTo::is_software(BoundTo::of::<At>(&Binding::Software)));
        for binding in [Binding::Software, Binding::Moving, Binding::Releasing] {
            let word = BoundTo::of::<At>(&binding);
            assert_eq!(BoundTo::unpack(word), None);
            assert_eq!(
                BoundTo::is_software(word),
                matches!(binding, Binding::Software)
            );
        }
        // No line, and no line.
        assert_eq!(BoundTo::unpack(0x2_0000_0000), None);
        assert_eq!(BoundTo::unpack(0x2_0000_0040), None);
        assert_eq!(BoundTo::unpack(u64::MAX), None);
    }
}
