// SPDX-License-Identifier: GPL-2.0

//! Synchronisation.

pub mod raw_spinlock;

pub use raw_spinlock::RawSpinLock;
