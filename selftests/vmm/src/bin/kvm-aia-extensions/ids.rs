// SPDX-License-Identifier: GPL-2.0

//! In mode EMUL there may be as many identities and sources as the specification allows.

use crate::auto::extend;
use kvm_bindings::*;
use libc::EINVAL;
use vmm::{
    exact,
    ext::{
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
    Result, //
};

const IDS: u32 = KVM_DEV_RISCV_AIA_CONFIG_IDS;
const SRCS: u32 = KVM_DEV_RISCV_AIA_CONFIG_SRCS;

/// Most identities without the extension.
fn host_ids(f: &Fixture) -> Result<u32> {
    f.aia.config(IDS).context("IDS")
}

/// Exactly the numbers up to the limits are accepted.
fn limited(f: &Fixture, ids: u32, sources: u32, when: &str) -> Result<()> {
    for (attr, max, step) in [(IDS, ids, 64), (SRCS, sources, 1)] {
        f.aia
            .set_config(attr, max)
            .context(format!("CONFIG {attr} = {max} {when}"))?;
        for value in [max + 1, max + step, u32::MAX] {
            refused(f.aia.set_config(attr, value), EINVAL, || {
                format!("CONFIG {attr} = {value} {when}")
            })?;
        }
        same(f.aia.config(attr).ok(), Some(max), || {
            format!("CONFIG {attr} {when}")
        })?;
    }
    // For the next round.
    for (attr, value) in [(IDS, 63), (SRCS, 0)] {
        f.aia.set_config(attr, value).context("a small number")?;
    }
    Ok(())
}

pub(crate) fn limits(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 0)?;
    let ids = host_ids(&f)?;
    let sources = ids.min(1023);
    let mode = |mode| f.aia.set_mode(mode).context(format!("mode {mode}"));

    mode(Mode::Emul)?;
    limited(&f, ids, sources, "without extensions")?;
    extend(&f.aia, EMUL_IDS)?;
    limited(&f, 2047, 1023, "with it, mode EMUL")?;
    extend(&f.aia, AUTO_ANYWHERE)?;
    limited(&f, ids, sources, "with the other extension")?;
    mode(Mode::Auto)?;
    extend(&f.aia, AUTO_ANYWHERE | EMUL_IDS)?;
    limited(&f, ids, sources, "with both, mode AUTO")
}

pub(crate) fn init(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 1)?;
    let ids = host_ids(&f)?;

    f.configure(63, 4)?;
    extend(&f.aia, AUTO_ANYWHERE | EMUL_IDS)?;
    f.aia.set_mode(Mode::Emul).context("mode EMUL")?;
    f.aia.set_config(IDS, 2047).context("IDS")?;
    f.aia.set_mode(Mode::Auto).context("mode AUTO")?;
    if ids < 2047 {
        for mode in [Mode::Auto, Mode::Hwaccel] {
            if mode == Mode::Hwaccel && m.files() == 0 {
                continue;
            }
            f.aia.set_mode(mode).context(format!("mode {mode}"))?;
            refused(f.aia.init(), EINVAL, || {
                format!("INIT with too many identities in mode {mode}")
            })?;
        }
        f.aia.set_config(IDS, ids).context("IDS of the host")?;
    }
    f.aia.init().context("INIT")?;

    let f = Fixture::new(m, 1)?;

    extend(&f.aia, EMUL_IDS)?;
    f.aia.set_mode(Mode::Emul).context("mode EMUL")?;
    f.configure(2047, 1023)?;
    f.aia.init().context("INIT with all of it in mode EMUL")?;
    same(f.aia.imsic(0, 0xfe).ok(), Some(0), || {
        "the last enable bits".into()
    })?;
    same(f.aia.aplic(0x4000 - 4).ok(), Some(0), || {
        "the last target".into()
    })
}

pub(crate) fn withdrawn(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 1)?;
    let ids = host_ids(&f)?;

    f.aia.set_mode(Mode::Emul).context("mode EMUL")?;
    for (attr, value) in [(IDS, 2047), (SRCS, 1023)] {
        extend(&f.aia, EMUL_IDS)?;
        f.aia
            .set_config(attr, value)
            .context(format!("CONFIG {attr}"))?;
        for bits in [0, AUTO_ANYWHERE] {
            let given_up = f.aia.set_extensions(bits);

            if ids < value {
                refused(given_up, EINVAL, || {
                    format!("giving it up with CONFIG {attr} = {value}")
                })?;
            } else {
                given_up.context("giving it up")?;
            }
        }
        f.aia
            .set_config(attr, 63)
            .context(format!("CONFIG {attr}"))?;
        extend(&f.aia, 0)?;
    }
    Ok(())
}

/// All 2047 identities arrive, each once.
pub(crate) fn guest(m: &Machine) -> Result<()> {
    let mut guest = Guest::bare(m.kvm(), Config::new(1, Mode::Emul))?;

    extend(guest.aia(), EMUL_IDS)?;
    guest.aia().set_config(IDS, 2047).context("IDS")?;
    guest.ready()?;
    guest.boot(0, &[m.cpu(0)])?;
    guest.send_from_host(0, 1, 2047, 1, Guest::signal_msi)?;
    exact(&guest, 0, 1, 2047, 1)
}
