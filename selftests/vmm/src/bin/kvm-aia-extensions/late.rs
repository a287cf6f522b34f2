// SPDX-License-Identifier: GPL-2.0

//! vCPUs that are made after INIT get interrupt files, if the VMM has asked for that.

use crate::{
    auto::extend,
    snapshot::{
        self,
        Snapshot, //
    },
    sys::Device, //
};
use kvm_bindings::KVM_DEV_RISCV_AIA_CONFIG_HART_BITS;
use libc::{
    EBUSY,
    EEXIST,
    EINVAL,
    ENODEV,
    ENXIO, //
};
use std::sync::atomic::{
    AtomicBool,
    AtomicU32,
    Ordering, //
};
use vmm::{
    abi::{
        op,
        IMSIC_BASE, //
    },
    exact,
    ext::{
        self,
        imsic_state,
        LATE_VCPUS, //
    },
    fixture::{
        page,
        Fixture, //
    },
    raise_open_files,
    refused,
    regs::{
        aplic::{
            self,
            sm, //
        },
        imsic, //
    },
    same,
    Config,
    Context,
    Guest,
    Machine,
    Mode,
    Result, //
};

/// How many vCPUs there are in the end, most of them late.
const VCPUS: usize = 5;

/// A machine that vCPUs can be added to, up to [`VCPUS`], with a device that is not initialised yet.
fn open(m: &Machine, cfg: Config) -> Result<Guest> {
    let guest = Guest::bare(
        m.kvm(),
        Config {
            mode: Mode::Emul,
            ..cfg
        },
    )?;

    extend(guest.aia(), ext::AUTO_ANYWHERE | LATE_VCPUS)?;
    guest.aia().set_mode(cfg.mode).context("mode")?;
    guest
        .aia()
        .set_config(KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, 3)
        .context("hart bits")?;
    Ok(guest)
}

/// Adds a vCPU with its interrupt file.
fn add(guest: &mut Guest) -> Result<usize> {
    let n = guest.add_vcpu()?;

    guest
        .aia()
        .set_imsic_addr(n, guest.config().imsic_page(n))
        .context(format!("address of vCPU {n}"))?;
    Ok(n)
}

pub(crate) fn unasked(m: &Machine) -> Result<()> {
    let mut f = Fixture::ready(m, 1, 63, 4)?;

    f.add_vcpu()?;
    for addr in [page(1), page(1) + 4, u64::MAX] {
        refused(f.aia.set_imsic_addr(1, addr), EBUSY, || {
            format!("address {addr:#x} of a late vCPU")
        })?;
    }
    refused(f.aia.imsic(1, imsic::EIDELIVERY), ENODEV, || {
        "its interrupt file".into()
    })?;
    same(f.aia.imsic_addr(1).ok(), Some(u64::MAX), || {
        "its address".into()
    })
}

pub(crate) fn wrong(m: &Machine) -> Result<()> {
    let mut guest = open(m, Config::new(2, Mode::Emul))?;
    let page = |n| guest_page(n);

    guest.ready()?;
    guest.add_vcpu()?;
    for (index, addr, errno, what) in [
        (0, page(5), EBUSY, "one that has an interrupt file"),
        (1, page(1), EBUSY, "the address that it has"),
        (3, page(3), ENXIO, "one that is not there"),
        (2, page(2) + 4, EINVAL, "no page"),
        (2, u64::MAX, EINVAL, "no address"),
        (2, page(8), EINVAL, "another base"),
        (2, page(1), EEXIST, "the address of another one"),
    ] {
        refused(guest.aia().set_imsic_addr(index, addr), errno, || {
            what.into()
        })?;
        refused(guest.aia().imsic(2, imsic::EIDELIVERY), ENODEV, || {
            format!("an interrupt file after {what}")
        })?;
    }
    // Nothing is left of all that. It may run meanwhile.
    guest.start(2, &[])?;
    guest.call(2, op::NOP, &[])?;
    guest
        .aia()
        .set_imsic_addr(2, page(2))
        .context("the right address")?;
    refused(guest.aia().set_imsic_addr(2, page(2)), EBUSY, || {
        "once more".into()
    })?;
    guest.call(2, op::IMSIC_INIT, &[1, 255])?;
    guest.send_from_host(2, 1, 63, 1, Guest::signal_msi)?;
    exact(&guest, 2, 1, 63, 1)
}

/// The page of an interrupt file without guest index bits.
fn guest_page(n: u64) -> u64 {
    IMSIC_BASE + (n << 12)
}

/// Late vCPUs get MSIs of the host, wires, and each other's IPIs; also what was sent before they run.
pub(crate) fn interrupts(m: &Machine, mode: Mode) -> Result<()> {
    const SOURCES: u32 = 4;
    let mut guest = open(
        m,
        Config {
            sources: SOURCES,
            ..Config::new(1, mode)
        },
    )?;

    guest.ready()?;
    guest.boot(0, &[m.cpu(0)])?;
    guest
        .aia()
        .set_aplic(aplic::DOMAINCFG, aplic::IE)
        .context("IE")?;
    // Some sources are for vCPUs that are yet to come; meanwhile they go nowhere.
    for n in 1..VCPUS {
        let source = 1 + (n as u32 - 1) % SOURCES;
        let when = |what: &str| format!("{what} of vCPU {n}");

        guest
            .aia()
            .set_aplic(aplic::SOURCECFG + 4 * source, sm::EDGE1)
            .context("sourcecfg")?;
        guest
            .aia()
            .set_aplic(aplic::TARGET + 4 * source, (n as u32) << 18 | 40)
            .context("target")?;
        guest
            .aia()
            .set_aplic(aplic::SETIENUM, source)
            .context("setienum")?;
        guest.irq_line(source, true)?;
        guest.irq_line(source, false)?;
        // Nobody is there yet.
        guest.signal_msi(n, 41)?;

        same(add(&mut guest)?, n, || when("index"))?;
        guest.signal_msi(n, 42)?;
        guest.boot(n, &[m.cpu(n % 2)])?;
        guest.until(|g| g.count(n, 42) == 1, || when("MSI"))?;
        guest.irq_line(source, true)?;
        guest.until(|g| g.count(n, 40) == 1, || when("wire"))?;
        guest.irq_line(source, false)?;
        for id in [40, 41] {
            let wanted = u32::from(id == 40);

            same(guest.count(n, id), wanted, || {
                when(&format!("identity {id}"))
            })?;
        }
        for (from, to) in [(0, n), (n, 0), (n, n - 1)] {
            let before = guest.count(to, 7);

            guest.give_send(from, to, 7, 1, 3);
            guest.wait(from)?;
            same(guest.count(to, 7) - before, 3, || {
                format!("IPIs from {from} to {to}")
            })?;
        }
    }
    // From one CPU to another, and through WFI.
    for n in 0..VCPUS {
        let before = guest.total(n);

        guest.give(n, op::WFI_UNTIL, &[before + 1]);
        guest.pin(n, &[m.cpu(n + 1)])?;
        guest.signal_msi(n, 9)?;
        guest.wait(n)?;
        same(guest.count(n, 9), 1, || format!("identity 9 of vCPU {n}"))?;
    }
    Ok(())
}

/// vCPUs come while MSIs are sent to those that are there, and to all that may come: each of theirs
/// arrives, once.
pub(crate) fn meanwhile(m: &Machine) -> Result<()> {
    let stop = AtomicBool::new(false);
    let rounds = AtomicU32::new(0);
    let mut guest = open(m, Config::new(1, Mode::Auto))?;

    guest.ready()?;
    guest.boot(0, &[m.cpu(0)])?;
    for n in 1..VCPUS {
        let late = guest.add_vcpu()?;

        stop.store(false, Ordering::Relaxed);
        std::thread::scope(|s| -> Result<()> {
            let guest = &guest;
            let noise = s.spawn(|| -> Result<()> {
                while !stop.load(Ordering::Relaxed) {
                    // Of this one it is not known when it comes: it has an identity of its own.
                    guest.signal_msi(late, 63)?;
                    guest.send_from_host(0, 1, 5, 1, Guest::signal_msi)?;
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
            // One round is whole, and another one has begun, or the sender has failed.
            let another_round = || {
                let before = rounds.load(Ordering::Relaxed);

                while rounds.load(Ordering::Relaxed) == before && !noise.is_finished() {
                    std::thread::yield_now();
                }
            };

            another_round();
            let added = guest
                .aia()
                .set_imsic_addr(late, guest.config().imsic_page(late));
            // From here on all arrive.
            let sent = guest.signal_msi(late, 50 + n as u32);

            another_round();
            stop.store(true, Ordering::Relaxed);
            noise
                .join()
                .map_err(|_| vmm::Error::new("the sender panicked"))??;

            added.context("address")?;
            sent
        })?;
        guest.boot(late, &[m.cpu(late)])?;
        guest.until(
            |g| g.count(late, 50 + n as u32) == 1,
            || format!("the MSI of vCPU {late}"),
        )?;
    }
    Ok(())
}

/// An MSI finds the vCPU whose page is the first of its hart, also if it comes later than one with
/// another page of that hart.
pub(crate) fn guest_index(m: &Machine) -> Result<()> {
    let mut guest = open(
        m,
        Config {
            guest_bits: 1,
            ..Config::new(1, Mode::Emul)
        },
    )?;
    let aia = guest.aia();

    aia.set_imsic_addr(0, IMSIC_BASE + 0x1000)
        .context("second page of hart 0")?;
    guest.ready()?;
    guest.signal(IMSIC_BASE, 5)?;
    guest.add_vcpu()?;
    guest
        .aia()
        .set_imsic_addr(1, IMSIC_BASE)
        .context("first page of hart 0")?;
    guest.signal(IMSIC_BASE, 6)?;
    // Another one of hart 0 there cannot be, nor does a late second page take the place of a first.
    guest.add_vcpu()?;
    refused(guest.aia().set_imsic_addr(2, IMSIC_BASE), EEXIST, || {
        "the first page twice".into()
    })?;
    guest
        .aia()
        .set_imsic_addr(2, IMSIC_BASE + 0x2000)
        .context("first page of hart 1")?;
    guest.signal(IMSIC_BASE + 0x2000, 7)?;
    for (n, eip) in [0, 1 << 6, 1 << 7].into_iter().enumerate() {
        same(guest.aia().imsic(n, imsic::EIP0).ok(), Some(eip), || {
            format!("eip0 of vCPU {n}")
        })?;
    }
    Ok(())
}

/// A late vCPU's page between those of others, which were there at first, leaves these where MSIs of vCPUs
/// find them.
pub(crate) fn between(m: &Machine) -> Result<()> {
    let mut guest = open(
        m,
        Config {
            guest_bits: 1,
            ..Config::new(2, Mode::Emul)
        },
    )?;
    let page = |n: u64| IMSIC_BASE + n * 0x1000;

    guest.ready()?;
    guest.add_vcpu()?;
    guest
        .aia()
        .set_imsic_addr(2, page(1))
        .context("second page of hart 0")?;
    guest.boot(0, &[m.cpu(0)])?;
    guest.boot(1, &[m.cpu(1)])?;
    guest.call(0, op::WRITE32, &[page(2), 5])?;
    guest.until(
        |g| g.count(1, 5) == 1,
        || "the MSI of vCPU 0 to vCPU 1".into(),
    )?;
    // That no MSI finds, but is there.
    guest.call(0, op::WRITE32, &[page(1), 5])?;
    guest.call(0, op::WRITE32, &[page(0), 6])?;
    guest.until(
        |g| g.count(0, 6) == 1,
        || "the MSI of vCPU 0 to itself".into(),
    )
}

/// The state has late vCPUs, in the order of the IDs, and goes to a machine that had them at once, and
/// back.
pub(crate) fn state(m: &Machine) -> Result<()> {
    let make = |ids: &[u64], at_first: usize| {
        Device::of(|| {
            let f = Fixture::new(m, 0)?;
            let mut vcpus = Vec::new();

            extend(&f.aia, LATE_VCPUS)?;
            f.configure(63, 4)?;
            f.aia
                .set_config(KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, 3)
                .context("hart bits")?;
            for (index, &id) in ids.iter().enumerate() {
                if index == at_first {
                    f.aia.init().context("INIT")?;
                }
                vcpus.push(f.vm.create_vcpu(id).context("vCPU")?);
                f.aia
                    .set_imsic_addr(index, page(id as usize))
                    .context("address")?;
            }
            if at_first == ids.len() {
                f.aia.init().context("INIT")?;
            }
            Ok((f, vcpus))
        })
    };
    let ((late, _late_vcpus), late_device) = make(&[4, 1, 6, 0], 2)?;
    let ((_early, _early_vcpus), early_device) = make(&[0, 1, 4, 6], 4)?;

    for (n, id) in [4, 1, 6, 0].into_iter().enumerate() {
        late.msi(page(id), 10 + n as u32).context("MSI")?;
    }
    let whole = Snapshot::take(&late_device)?;

    same(whole.u32(snapshot::NR_VCPUS), 4, || "vCPUs".into())?;
    for (n, (id, eip)) in [(0, 13), (1, 11), (4, 10), (6, 12)].into_iter().enumerate() {
        same(whole.u32(whole.vcpu(n)), id, || format!("ID at {n}"))?;
        same(whole.u64(whole.vcpu(n) + snapshot::EIP), 1 << eip, || {
            format!("eip at {n}")
        })?;
    }
    early_device.set(&whole.0).context("SET")?;
    whole.check(&early_device, "where all were there at once")?;

    // One that is added makes it another machine; the former state is then refused.
    let _more = late.vm.create_vcpu(5).context("vCPU 5")?;

    whole.check(&late_device, "with a vCPU that has no file")?;
    late.aia
        .set_imsic_addr(4, page(5))
        .context("address of vCPU 5")?;
    refused(late_device.set(&whole.0), EINVAL, || {
        "the state of fewer vCPUs".into()
    })?;
    same(
        Snapshot::take(&late_device)?.u32(snapshot::NR_VCPUS),
        5,
        || "vCPUs with one more".into(),
    )?;
    for id in [5, 6] {
        let part = Snapshot::take_part(&late_device, imsic_state(id))?;

        late_device
            .set_part(imsic_state(id), &part.0)
            .context("SET of a vCPU")?;
    }
    Ok(())
}

/// A machine may have no vCPU at all at INIT; the first one says what the base is.
pub(crate) fn from_none(m: &Machine) -> Result<()> {
    let mut f = Fixture::new(m, 0)?;

    extend(&f.aia, LATE_VCPUS)?;
    f.configure(63, 4)?;
    f.aia
        .set_config(KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, 1)
        .context("hart bits")?;
    f.aia.init().context("INIT")?;
    f.msi(page(0), 5).context("an MSI for nobody")?;
    for n in 0..3 {
        f.add_vcpu()?;
        let set = f.aia.set_imsic_addr(n, page(4 + n));

        if n < 2 {
            set.context("address")?;
            f.msi(page(4 + n), 6).context("MSI")?;
            same(f.aia.imsic(n, imsic::EIP0).ok(), Some(1 << 6), || {
                format!("eip0 of vCPU {n}")
            })?;
        } else {
            refused(set, EINVAL, || "beyond the hart index bits".into())?;
        }
    }
    Ok(())
}

/// As many vCPUs as KVM has, which is more than its I/O bus has room for.
pub(crate) fn many(m: &Machine) -> Result<()> {
    const MANY: usize = 1024;
    const SOURCES: u32 = 4;
    const IDS: u32 = 63;

    raise_open_files(2 * MANY as u64).context("RLIMIT_NOFILE")?;
    let (f, device) = Device::of(|| Fixture::new(m, 0))?;
    let mut vcpus = Vec::new();

    f.aia.set_mode(Mode::Emul).context("mode")?;
    f.configure(IDS, SOURCES)?;
    f.aia
        .set_config(KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, 10)
        .context("hart bits")?;
    for n in 0..MANY {
        vcpus.push(f.bare_vcpu(n as u64).context(format!("vCPU {n}"))?);
        f.aia.set_imsic_addr(n, page(n)).context("address")?;
    }
    f.aia.init().context("INIT")?;
    f.aia.set_aplic(aplic::DOMAINCFG, aplic::IE).context("IE")?;
    for n in [0, 1, 998, 999, 1000, MANY - 1] {
        f.msi(page(n), 5).context("MSI")?;
        f.aia
            .set_aplic(aplic::GENMSI, (n as u32) << 18 | 6)
            .context("genmsi")?;
        same(f.aia.imsic(n, imsic::EIP0).ok(), Some(3 << 5), || {
            format!("eip0 of vCPU {n}")
        })?;
    }
    let state = Snapshot::take(&device)?;

    same(state.u32(snapshot::NR_VCPUS), MANY as u32, || {
        "vCPUs in the state".into()
    })?;
    device.set(&state.0).context("SET of the state")?;
    state.check(&device, "after it was restored")
}
