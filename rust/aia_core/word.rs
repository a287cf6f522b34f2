// SPDX-License-Identifier: GPL-2.0

//! The atomic 64-bit word under all shared state of this crate.
//!
//! In the kernel a [`Word`] is an LKMM atomic, on the host a `core` atomic, and under `--cfg loom`
//! a model-checked one; no other file makes a difference of that. The methods name what they are
//! for instead of taking an ordering:
//!
//! | method                   | LKMM                         | C11                     |
//! |--------------------------|------------------------------|-------------------------|
//! | [`Word::load`]           | `READ_ONCE()`                | relaxed                 |
//! | [`Word::load_dependent`] | `READ_ONCE()`                | acquire                 |
//! | [`Word::load_acquire`]   | `smp_load_acquire()`         | acquire                 |
//! | [`Word::store`]          | `WRITE_ONCE()`               | relaxed                 |
//! | [`Word::store_release`]  | `smp_store_release()`        | release                 |
//! | every read-modify-write  | fully ordered `atomic64_*()` | sequentially consistent |
//!
//! C11 as implemented knows no dependencies, hence the one line where it is stronger: in the kernel
//! only what depends on the value comes after it. LKMM's fully ordered operations are stronger than
//! C11's sequentially consistent ones, but that a failed [`Word::replace`] orders nothing. As code
//! here relies on neither, what loom proves of the host build holds in the kernel.

#[cfg(CONFIG_RUST)]
use kernel::sync::atomic::{
    Acquire,
    Atomic,
    Full,
    Relaxed,
    Release, //
};

#[cfg(all(not(CONFIG_RUST), not(loom)))]
use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};

#[cfg(all(not(CONFIG_RUST), loom))]
use loom::sync::atomic::{
    AtomicU64,
    Ordering, //
};

#[cfg(CONFIG_RUST)]
type Inner = Atomic<u64>;
#[cfg(not(CONFIG_RUST))]
type Inner = AtomicU64;

/// A shared 64-bit word.
#[repr(transparent)]
pub struct Word(Inner);

impl Word {
    /// Creates a word that holds `value`.
    #[cfg(not(loom))]
    pub const fn new(value: u64) -> Self {
        Self(Inner::new(value))
    }

    /// Creates a word that holds `value`.
    #[cfg(loom)]
    pub fn new(value: u64) -> Self {
        Self(Inner::new(value))
    }
}

impl Default for Word {
    fn default() -> Self {
        Self::new(0)
    }
}

#[cfg(CONFIG_RUST)]
impl Word {
    /// Reads the word, ordering nothing.
    #[inline(always)]
    pub fn load(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Reads the word; what is found at an address that is made from it is as whoever wrote the word
    /// had left it.
    #[inline(always)]
    pub fn load_dependent(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// Reads the word; later accesses stay later.
    #[inline(always)]
    pub fn load_acquire(&self) -> u64 {
        self.0.load(Acquire)
    }

    /// Writes the word, ordering nothing.
    #[inline(always)]
    pub fn store(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// Writes the word; earlier accesses stay earlier.
    #[inline(always)]
    pub fn store_release(&self, value: u64) {
        self.0.store(value, Release);
    }

    /// Sets the bits of `mask` and returns the word as it was.
    #[inline(always)]
    pub fn set(&self, mask: u64) -> u64 {
        self.0.fetch_or(mask, Full)
    }

    /// Clears the bits of `mask` and returns the word as it was.
    #[inline(always)]
    pub fn clear(&self, mask: u64) -> u64 {
        self.0.fetch_and(!mask, Full)
    }

    /// Adds `value`, wrapping, and returns the word as it was.
    #[inline(always)]
    pub fn add(&self, value: u64) -> u64 {
        self.0.fetch_add(value, Full)
    }

    /// Writes `value` and returns the word as it was.
    #[inline(always)]
    pub fn swap(&self, value: u64) -> u64 {
        self.0.xchg(value, Full)
    }

    /// Writes `new` if the word is `old`; returns whether it did.
    #[inline(always)]
    pub fn replace(&self, old: u64, new: u64) -> bool {
        self.0.cmpxchg(old, new, Full).is_ok()
    }
}

#[cfg(not(CONFIG_RUST))]
impl Word {
    /// Reads the word, ordering nothing.
    #[inline(always)]
    pub fn load(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Reads the word; what is found at an address that is made from it is as whoever wrote the word
    /// had left it.
    #[inline(always)]
    pub fn load_dependent(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Reads the word; later accesses stay later.
    #[inline(always)]
    pub fn load_acquire(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Writes the word, ordering nothing.
    #[inline(always)]
    pub fn store(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Writes the word; earlier accesses stay earlier.
    #[inline(always)]
    pub fn store_release(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }

    /// Sets the bits of `mask` and returns the word as it was.
    #[inline(always)]
    pub fn set(&self, mask: u64) -> u64 {
        self.0.fetch_or(mask, Ordering::SeqCst)
    }

    /// Clears the bits of `mask` and returns the word as it was.
    #[inline(always)]
    pub fn clear(&self, mask: u64) -> u64 {
        self.0.fetch_and(!mask, Ordering::SeqCst)
    }

    /// Adds `value`, wrapping, and returns the word as it was.
    #[inline(always)]
    pub fn add(&self, value: u64) -> u64 {
        self.0.fetch_add(value, Ordering::SeqCst)
    }

    /// Writes `value` and returns the word as it was.
    #[inline(always)]
    pub fn swap(&self, value: u64) -> u64 {
        self.0.swap(value, Ordering::SeqCst)
    }

    /// Writes `new` if the word is `old`; returns whether it did.
    #[inline(always)]
    pub fn replace(&self, old: u64, new: u64) -> bool {
        self.0
            .compare_exchange(old, new, Ordering::SeqCst, Ordering::Relaxed)
            .is_ok()
    }
}
