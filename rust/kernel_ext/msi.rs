// SPDX-License-Identifier: GPL-2.0

//! Message signalled interrupts, seen from the controller that receives them, and from one that
//! turns wires into messages.

pub mod bus;
pub mod group;
pub mod message;
pub mod ops;
pub mod outermost;
pub mod parent;
pub mod wired;

pub use self::{
    bus::Bus,
    group::Group,
    message::Message,
    ops::{
        flags,
        ParentOps, //
    },
    outermost::Outermost, //
};
