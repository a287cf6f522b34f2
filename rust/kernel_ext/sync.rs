// SPDX-License-Identifier: GPL-2.0

//! Synchronisation.

pub mod raw_spinlock;
pub mod roster;
pub mod scoped_lock;

pub use self::{
    raw_spinlock::RawSpinLock,
    roster::Roster,
    scoped_lock::ScopedLock, //
};
