// SPDX-License-Identifier: GPL-2.0

//! The mask of extensions, and mode AUTO on any host.

use kvm_bindings::*;
use libc::{
    EBUSY,
    EFAULT,
    EINVAL,
    ENXIO, //
};
use vmm::{
    exact,
    ext::{
        self,
        AUTO_ANYWHERE,
        EMUL_IDS, //
    },
    fixture::Fixture,
    refused,
    same,
    Config,
    Context,
    Guest,
    Machine,
    Mode,
    Place,
    Result,
    TestMemory, //
};

/// Asks for `bits`.
pub(crate) fn extend(aia: &vmm::Aia, bits: u32) -> Result<()> {
    aia.set_extensions(bits)
        .context(format!("extensions {bits:#x}"))
}

pub(crate) fn bits(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 0)?;
    let reads = |wanted, when| same(f.aia.extensions().ok(), Some(wanted), || when);

    f.aia
        .has(ext::GROUP, ext::ENABLE)
        .context("HAS of the extensions")?;
    reads(0, "at first".into())?;
    for good in [7, 4, 2, 1, 0, AUTO_ANYWHERE | EMUL_IDS] {
        extend(&f.aia, good)?;
        for bad in [8, 15, 1 << 16, 1 << 31, u32::MAX] {
            refused(f.aia.set_extensions(bad), EINVAL, || {
                format!("extensions {bad:#x}")
            })?;
        }
        reads(good, format!("after {good:#x}"))?;
    }
    // The mode shares a field of the kernel with them.
    f.aia.set_mode(Mode::Emul).context("mode")?;
    reads(3, "after a mode".into())?;
    same(
        f.aia.config(KVM_DEV_RISCV_AIA_CONFIG_MODE).ok(),
        Some(KVM_DEV_RISCV_AIA_MODE_EMUL),
        || "mode with extensions".into(),
    )?;
    // The groups of C have nothing of it.
    for (group, attr) in [(KVM_DEV_RISCV_AIA_GRP_CONFIG, 7), (5, 0)] {
        refused(f.aia.has(group, attr), ENXIO, || {
            format!("attribute {attr} of group {group}")
        })?;
    }
    // 32 bits are read and written.
    let value = f.aia.get(ext::GROUP, ext::ENABLE, u128::MAX);

    same(value.ok(), Some(u128::MAX << 32 | 3), || {
        "width of GET".into()
    })?;
    let mem = TestMemory::new()?;

    refused(
        f.aia.set_at(ext::GROUP, ext::ENABLE, &mem, Place::Nowhere),
        EFAULT,
        || "SET from nowhere".into(),
    )
}

pub(crate) fn fixed(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 1)?;

    f.configure(63, 4)?;
    extend(&f.aia, AUTO_ANYWHERE)?;
    f.aia.init().context("INIT")?;
    for value in [0, AUTO_ANYWHERE, 8] {
        refused(f.aia.set_extensions(value), EBUSY, || {
            format!("extensions {value:#x} after INIT")
        })?;
    }
    same(f.aia.extensions().ok(), Some(1), || {
        "extensions after INIT".into()
    })
}

pub(crate) fn modes(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 1)?;
    let has_files = m.files() != 0;
    let try_mode = |mode, good, when: &str| {
        let result = f.aia.set_mode(mode);
        let what = || format!("mode {mode} {when}");

        if good {
            result.context(what())
        } else {
            refused(result, EINVAL, what)
        }
    };

    f.configure(63, 4)?;
    try_mode(Mode::Emul, true, "at first")?;
    for (bits, auto) in [
        (0, has_files),
        (EMUL_IDS, has_files),
        (AUTO_ANYWHERE, true),
        (AUTO_ANYWHERE | EMUL_IDS, true),
    ] {
        extend(&f.aia, bits)?;
        let when = format!("with extensions {bits:#x}");

        try_mode(Mode::Auto, auto, &when)?;
        try_mode(Mode::Hwaccel, has_files, &when)?;
        try_mode(Mode::Emul, true, &when)?;
    }

    // It stays as long as the mode needs it.
    try_mode(Mode::Auto, true, "once more")?;
    for bits in [0, EMUL_IDS] {
        let given_up = f.aia.set_extensions(bits);

        if has_files {
            given_up.context("giving it up")?;
        } else {
            refused(given_up, EINVAL, || "giving it up in mode AUTO".into())?;
        }
    }
    f.aia.init().context("INIT")
}

/// A machine that is ready to start, in mode AUTO on any host.
pub(crate) fn anywhere(m: &Machine, cfg: Config) -> Result<Guest> {
    let guest = Guest::bare(
        m.kvm(),
        Config {
            mode: Mode::Emul,
            ..cfg
        },
    )?;

    extend(guest.aia(), AUTO_ANYWHERE)?;
    guest
        .aia()
        .set_mode(cfg.mode)
        .context(format!("mode {}", cfg.mode))?;
    guest.ready()?;
    Ok(guest)
}

/// A guest in mode AUTO takes its interrupts, on any host.
pub(crate) fn guest(m: &Machine) -> Result<()> {
    let mut guest = anywhere(m, Config::new(2, Mode::Auto))?;

    for n in 0..2 {
        guest.boot(n, &[m.cpu(n)])?;
    }
    guest.send_from_host(0, 1, 63, 2, Guest::signal_msi)?;
    exact(&guest, 0, 1, 63, 2)?;
    guest.give_send(0, 1, 1, 63, 3);
    guest.wait(0)?;
    exact(&guest, 1, 1, 63, 3)?;
    // From one CPU to another, and through WFI.
    guest.give(0, vmm::abi::op::WFI_UNTIL, &[2 * 63 + 1]);
    guest.pin(0, &[m.cpu(1)])?;
    guest.signal_msi(0, 9)?;
    guest.wait(0)?;
    same(guest.count(0, 9), 3, || "identity 9".into())
}
