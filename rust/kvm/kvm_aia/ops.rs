// SPDX-License-Identifier: GPL-2.0

//! What is done with the state.

pub(crate) mod emulate;
pub(crate) mod enter;
pub(crate) mod evict;
pub(crate) mod inject;
pub(crate) mod owners;
pub(crate) mod release;
pub(crate) mod steal;
pub(crate) mod user;
pub(crate) mod wake;
pub(crate) mod wire;
