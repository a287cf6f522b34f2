// SPDX-License-Identifier: GPL-2.0

//! The extensions of KVM_DEV_TYPE_RISCV_AIA: what they allow, that nothing changes for who does
//! not ask for them, and a guest that goes on elsewhere with interrupts in flight; and the statistics.
//!
//! Documentation/kvm-extensions.rst has the rules. A kernel without the extensions is skipped, unless the
//! tester says that it has them: `kvm_aia_extensions=1`.

mod auto;
mod counted;
mod flight;
mod get;
mod ids;
mod late;
mod parts;
mod set;
mod snapshot;
mod sys;

use ktap::Tap;
use kvm_ioctls::Kvm;
use std::process::ExitCode;
use vmm::{
    ext,
    suite,
    Aia,
    Context,
    Mode::{
        Auto,
        Emul,
        Hwaccel, //
    },
    Need::{
        Files,
        FilesAndCpus,
        Nothing, //
    },
    Result,
    Test, //
};

const TESTS: &[Test] = &[
    (
        "extensions: none at first, known bits only",
        Nothing,
        auto::bits,
    ),
    ("extensions: fixed by INIT", Nothing, auto::fixed),
    ("AUTO_ANYWHERE: which modes", Nothing, auto::modes),
    ("AUTO_ANYWHERE: a guest in mode AUTO", Nothing, auto::guest),
    ("EMUL_IDS: limits", Nothing, ids::limits),
    ("EMUL_IDS: INIT checks the mode", Nothing, ids::init),
    ("EMUL_IDS: given up or kept", Nothing, ids::withdrawn),
    (
        "EMUL_IDS: a guest with 2047 identities",
        Nothing,
        ids::guest,
    ),
    ("state: HAS", Nothing, get::has),
    ("state: nothing before INIT", Nothing, get::before_init),
    ("state: GET, the header", Nothing, get::header),
    ("state: GET, memory too small", Nothing, get::too_small),
    ("state: faults", Nothing, get::faults),
    ("state: the layout", Nothing, get::layout),
    ("state: vCPUs by their IDs", Nothing, get::vcpu_ids),
    ("state: not while a vCPU runs", Nothing, get::busy),
    ("state: SET, header", Nothing, set::header),
    ("state: SET, APLIC", Nothing, set::aplic),
    ("state: SET, vCPUs", Nothing, set::vcpus),
    ("state: SET, another machine's", Nothing, set::others),
    ("state: SET sends nothing", Nothing, set::silent),
    ("in flight: EMUL to EMUL", Nothing, |m| {
        flight::moved(m, Emul, Emul)
    }),
    ("in flight: HWACCEL to HWACCEL", FilesAndCpus(2, 2), |m| {
        flight::moved(m, Hwaccel, Hwaccel)
    }),
    ("in flight: HWACCEL to EMUL", Files(2), |m| {
        flight::moved(m, Hwaccel, Emul)
    }),
    ("in flight: EMUL to HWACCEL", Files(2), |m| {
        flight::moved(m, Emul, Hwaccel)
    }),
    ("in flight: AUTO, without files or with", Nothing, |m| {
        flight::moved(m, Auto, Auto)
    }),
    ("in flight: back to an earlier state", Nothing, flight::back),
    ("in parts: EMUL to AUTO", Nothing, |m| {
        flight::moved_in_parts(m, Emul, Auto)
    }),
    ("in parts: HWACCEL to EMUL", Files(2), |m| {
        flight::moved_in_parts(m, Hwaccel, Emul)
    }),
    (
        "in parts: each is one of the whole",
        Nothing,
        parts::same_as_whole,
    ),
    ("in parts: what is not there", Nothing, parts::missing),
    ("in parts: refused", Nothing, parts::wrong),
    ("in parts: while another vCPU runs", Nothing, parts::running),
    ("late vCPUs: not without asking", Nothing, late::unasked),
    ("late vCPUs: refused", Nothing, late::wrong),
    ("late vCPUs: interrupts, EMUL", Nothing, |m| {
        late::interrupts(m, Emul)
    }),
    ("late vCPUs: interrupts, HWACCEL", FilesAndCpus(2, 2), |m| {
        late::interrupts(m, Hwaccel)
    }),
    ("late vCPUs: interrupts, AUTO", Nothing, |m| {
        late::interrupts(m, Auto)
    }),
    ("late vCPUs: while others run", Nothing, late::meanwhile),
    (
        "late vCPUs: the page of the hart",
        Nothing,
        late::guest_index,
    ),
    ("late vCPUs: a page between others", Nothing, late::between),
    ("late vCPUs: the state", Nothing, late::state),
    ("late vCPUs: none at INIT", Nothing, late::from_none),
    ("1024 vCPUs beside an APLIC", Nothing, late::many),
    ("statistics: MSIs to memory", Nothing, counted::memory),
    ("statistics: MSIs to a guest file", Files(1), counted::file),
    (
        "statistics: moves between guest files",
        FilesAndCpus(1, 2),
        counted::moves,
    ),
    (
        "statistics: entries without a guest file",
        Files(1),
        counted::misses,
    ),
    (
        "statistics: guest files that a CPU took along",
        FilesAndCpus(1, 2),
        counted::evictions,
    ),
];

/// Whether the kernel has the extensions.
fn are_there() -> Result<bool> {
    let vm = Kvm::new()
        .and_then(|kvm| kvm.create_vm())
        .context("KVM_CREATE_VM")?;
    let aia = Aia::new(&vm).context("KVM_CREATE_DEVICE")?;

    Ok(aia.has(ext::GROUP, ext::ENABLE).is_ok())
}

fn main() -> ExitCode {
    match suite::says("kvm_aia_extensions").and_then(|says| Ok(says || are_there()?)) {
        Ok(true) => suite::run(TESTS),
        Ok(false) => Tap::skip_all("the kernel has no extensions"),
        Err(e) => Tap::new(TESTS.len()).bail_out(e),
    }
}
