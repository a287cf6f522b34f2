// SPDX-License-Identifier: GPL-2.0

//! The group CONFIG: what is accepted, and what is not.

use kvm_bindings::*;
use libc::{
    EBUSY,
    EINVAL,
    ENXIO, //
};
use vmm::{
    ext,
    fixture::Fixture,
    refused,
    same,
    Aia,
    Context,
    Machine,
    Result, //
};

const ALL: [u32; 7] = [
    KVM_DEV_RISCV_AIA_CONFIG_MODE,
    KVM_DEV_RISCV_AIA_CONFIG_IDS,
    KVM_DEV_RISCV_AIA_CONFIG_SRCS,
    KVM_DEV_RISCV_AIA_CONFIG_GROUP_BITS,
    KVM_DEV_RISCV_AIA_CONFIG_GROUP_SHIFT,
    KVM_DEV_RISCV_AIA_CONFIG_HART_BITS,
    KVM_DEV_RISCV_AIA_CONFIG_GUEST_BITS,
];

/// Each of `good` is taken and reads back; none of `bad` is, or changes anything.
fn range(aia: &Aia, attr: u32, good: &[u32], bad: &[u32]) -> Result<()> {
    for &value in good {
        aia.set_config(attr, value)
            .context(format!("CONFIG {attr} = {value}"))?;
        for &value in bad {
            refused(aia.set_config(attr, value), EINVAL, || {
                format!("CONFIG {attr} = {value}")
            })?;
        }
        let now = aia.config(attr).context(format!("CONFIG {attr}"))?;

        same(now, value, || format!("CONFIG {attr}"))?;
    }
    Ok(())
}

pub(crate) fn defaults(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 0)?;

    for (attr, wanted) in [
        (KVM_DEV_RISCV_AIA_CONFIG_MODE, m.best_mode().to_raw()),
        (KVM_DEV_RISCV_AIA_CONFIG_SRCS, 0),
        (KVM_DEV_RISCV_AIA_CONFIG_GROUP_BITS, 0),
        (
            KVM_DEV_RISCV_AIA_CONFIG_GROUP_SHIFT,
            KVM_DEV_RISCV_AIA_GROUP_SHIFT_MIN,
        ),
        (KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, 0),
        (KVM_DEV_RISCV_AIA_CONFIG_GUEST_BITS, 0),
    ] {
        let value = f.aia.config(attr).context(format!("CONFIG {attr}"))?;

        same(value, wanted, || format!("CONFIG {attr}"))?;
    }
    Ok(())
}

pub(crate) fn mode(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 0)?;

    range(
        &f.aia,
        KVM_DEV_RISCV_AIA_CONFIG_MODE,
        &[KVM_DEV_RISCV_AIA_MODE_EMUL],
        &[3, u32::MAX],
    )
}

pub(crate) fn ids(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 0)?;
    let attr = KVM_DEV_RISCV_AIA_CONFIG_IDS;
    // What a guest file of the machine has, or as many as there can be.
    let max = f.aia.config(attr).context("IDS")?;

    same((max % 64, (63..=2047).contains(&max)), (63, true), || {
        format!("the default {max} is no size of a file")
    })?;
    range(
        &f.aia,
        attr,
        &[63, max, (max - 63) / 128 * 64 + 63],
        &[
            0,
            1,
            62,
            64,
            126,
            max - 1,
            max + 1,
            max + 64,
            2048,
            2111,
            u32::MAX,
        ],
    )
}

pub(crate) fn sources(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 0)?;
    let ids = f.aia.config(KVM_DEV_RISCV_AIA_CONFIG_IDS).context("IDS")?;
    let max = ids.min(KVM_DEV_RISCV_AIA_SRCS_MAX - 1);

    range(
        &f.aia,
        KVM_DEV_RISCV_AIA_CONFIG_SRCS,
        &[1, 31, 32, 33, max, 0],
        &[max + 1, 1024, 2048, u32::MAX],
    )
}

pub(crate) fn geometry(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 0)?;

    for (attr, min, max) in [
        (KVM_DEV_RISCV_AIA_CONFIG_GROUP_BITS, 0, 7),
        (KVM_DEV_RISCV_AIA_CONFIG_GROUP_SHIFT, 24, 55),
        (KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, 0, 15),
        (KVM_DEV_RISCV_AIA_CONFIG_GUEST_BITS, 0, 7),
    ] {
        let below = u32::wrapping_sub(min, 1);

        range(
            &f.aia,
            attr,
            &[min, max],
            &[below, max + 1, u32::MAX - 1, u32::MAX],
        )?;
    }
    Ok(())
}

pub(crate) fn unknown(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 1)?;

    for attr in ALL {
        f.aia
            .has(KVM_DEV_RISCV_AIA_GRP_CONFIG, attr.into())
            .context(format!("HAS of CONFIG {attr}"))?;
    }
    // The extensions, and the state that is one of them.
    for (group, attr) in [(ext::GROUP, ext::ENABLE), (ext::GROUP, ext::SNAPSHOT)] {
        if m.has_extensions(f.aia.has(group, attr))? {
            continue;
        }
        refused(f.aia.get(group, attr, 0), ENXIO, || {
            format!("GET of group {group}, attribute {attr}")
        })?;
        refused(f.aia.set(group, attr, 0), ENXIO, || {
            format!("SET of group {group}, attribute {attr}")
        })?;
    }
    // The last one is 0 in its low half.
    for attr in [7, 8, 0xffff_ffff, 1 << 32] {
        let group = KVM_DEV_RISCV_AIA_GRP_CONFIG;

        refused(f.aia.has(group, attr), ENXIO, || {
            format!("HAS of CONFIG {attr}")
        })?;
        refused(f.aia.get(group, attr, 0), ENXIO, || {
            format!("GET of CONFIG {attr}")
        })?;
        refused(f.aia.set(group, attr, 0), ENXIO, || {
            format!("SET of CONFIG {attr}")
        })?;
    }
    for group in [5, 6, ext::GROUP - 1, ext::GROUP + 1, u32::MAX] {
        refused(f.aia.has(group, 0), ENXIO, || {
            format!("HAS of group {group}")
        })?;
        refused(f.aia.get(group, 0, 0), ENXIO, || {
            format!("GET of group {group}")
        })?;
        refused(f.aia.set(group, 0, 0), ENXIO, || {
            format!("SET of group {group}")
        })?;
    }
    Ok(())
}

pub(crate) fn fixed(m: &Machine) -> Result<()> {
    let f = Fixture::ready(m, 1, 63, 4)?;

    for attr in ALL {
        let value = f.aia.config(attr).context(format!("CONFIG {attr}"))?;

        for value in [value, u32::MAX] {
            refused(f.aia.set_config(attr, value), EBUSY, || {
                format!("CONFIG {attr} = {value} after INIT")
            })?;
        }
        same(f.aia.config(attr).ok(), Some(value), || {
            format!("CONFIG {attr} after INIT")
        })?;
    }
    // Nor are others, be there none: to read one says so.
    for attr in [7, 8, u32::MAX] {
        refused(f.aia.set_config(attr, 0), EBUSY, || {
            format!("CONFIG {attr} after INIT")
        })?;
        refused(f.aia.config(attr), ENXIO, || {
            format!("CONFIG {attr} after INIT")
        })?;
    }
    Ok(())
}
