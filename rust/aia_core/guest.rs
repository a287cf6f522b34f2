// SPDX-License-Identifier: GPL-2.0

//! What KVM needs to give guests an interrupt controller, as far as it is pure logic.
//!
//! - [`config`]: the attributes of the KVM device: numbers, checks, the guest's MSI address map;
//! - [`hart_table`]: which vCPU a hart index of the guest means;
//! - [`hgei`]: which guest external interrupt lines of a hart are in use;
//! - [`iprio`]: the priorities of a guest's major interrupts;
//! - [`binding`]: where the state of a vCPU's interrupt file is, and who may move it;
//! - [`state`]: the format of the state of all interrupt controllers, for migration.

pub mod binding;
pub mod config;
pub mod hart_table;
pub mod hgei;
pub mod iprio;
pub mod state;
