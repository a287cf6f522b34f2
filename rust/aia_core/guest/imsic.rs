// SPDX-License-Identifier: GPL-2.0

//! A vCPU's interrupt file, wherever its state is: in memory, or in a guest interrupt file of a hart.
//!
//! The protocols by which MSIs get there, and by which the state moves, are here, generic over what
//! they touch: a hypervisor runs them on hardware, and models of their concurrency run the same code.
//!
//! - [`vcpu`]: what they touch;
//! - [`inject`]: how MSIs get there;
//! - [`access`]: registers of the file in memory, and its signal;
//! - [`moves`]: the state follows the vCPU to another hart's guest file;
//! - [`release`]: the state moves to memory, or is not needed any more;
//! - [`evict`]: a hart goes offline, or to sleep;
//! - [`steal`]: a vCPU takes the guest file of another one;
//! - [`user`]: user space reads and replaces the state.

pub mod access;
pub mod evict;
pub mod inject;
pub mod moves;
pub mod release;
pub mod steal;
pub mod user;
pub mod vcpu;
