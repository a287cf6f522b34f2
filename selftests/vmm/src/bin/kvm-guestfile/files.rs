// SPDX-License-Identifier: GPL-2.0

//! The guest interrupt files of the machine, and where vCPUs find theirs.

use kvm_bindings::{
    KVM_DEV_RISCV_AIA_CONFIG_IDS,
    KVM_DEV_RISCV_AIA_CONFIG_MODE, //
};
use kvm_ioctls::VmFd;
use vmm::{
    abi::op,
    ensure,
    exact,
    host::{
        self,
        Imsics, //
    },
    refused,
    regs::imsic::EIE0,
    same,
    Aia,
    Config,
    Context,
    Error,
    Guest,
    Machine,
    Mode,
    Result, //
};

/// An AIA device and its VM, which no vCPU uses.
fn device(m: &Machine) -> Result<(Aia, VmFd)> {
    let vm = m.kvm().create_vm().context("KVM_CREATE_VM")?;

    Ok((Aia::new(&vm).context("KVM_CREATE_DEVICE")?, vm))
}

/// KVM says how many there are. See also [`crate::share::exhausted`].
pub(crate) fn file_count(m: &Machine) -> Result<()> {
    let pages = m.imsics().map(|imsics| {
        m.cpus()
            .iter()
            .map(|&cpu| imsics.guest_files(cpu))
            .collect::<Vec<_>>()
    });

    ktap::diag(format!(
        "guest files per CPU: {}, pages: {pages:?}",
        m.files()
    ));
    same(host::kvm_guest_files()?, Some(m.files()), || {
        "guest files that KVM found".into()
    })
}

/// A guest has as many identities as a guest file, which may have fewer than the
/// host's own files; or as many as there can be without guest files.
pub(crate) fn identities(m: &Machine) -> Result<()> {
    const MOST: u32 = 2047;
    let (aia, _vm) = device(m)?;
    let ids = aia.config(KVM_DEV_RISCV_AIA_CONFIG_IDS).context("IDS")?;
    let wanted = m.imsics().map_or(MOST, Imsics::guest_ids);

    same(ids, wanted, || "identities of a guest".into())?;
    for mode in [Mode::Emul, Mode::Hwaccel, Mode::Auto] {
        if m.files() == 0 && mode != Mode::Emul {
            continue;
        }
        let mut guest = m.boot(Config::new(1, mode))?;

        guest.send_from_host(0, ids - 9, 10, 3, Guest::signal_msi)?;
        exact(&guest, 0, ids - 9, 10, 3)?;
        // The host's own files, and the hardware's, may have the next one.
        ensure(guest.signal_msi(0, ids + 1).is_err(), || {
            format!("{mode}: an MSI of identity {}", ids + 1)
        })?;
        // Also after the file has moved.
        if let Some(other) = m.other(m.cpu(0)) {
            guest.pin(0, &[other])?;
            guest.call(0, op::NOP, &[])?;
            guest.send_from_host(0, ids - 9, 10, 3, Guest::signal_msi)?;
            exact(&guest, 0, ids - 9, 10, 6)?;
        }
        guest.stop(0)?;
        // There are registers for up to 2047.
        if ids < MOST {
            refused(
                guest.aia().imsic(0, EIE0 + 2 * (ids / 64 + 1)),
                libc::EINVAL,
                || format!("{mode}: enable bits of identity {} and above", ids + 1),
            )?;
        }
    }
    Ok(())
}

pub(crate) fn modes(m: &Machine) -> Result<()> {
    let (aia, _vm) = device(m)?;
    let default = aia.config(KVM_DEV_RISCV_AIA_CONFIG_MODE).context("MODE")?;
    let wanted = if m.files() == 0 {
        Mode::Emul
    } else {
        Mode::Auto
    };

    ensure(default == wanted.to_raw(), || {
        format!("default mode {default} instead of {wanted}")
    })?;
    for mode in [Mode::Hwaccel, Mode::Auto, Mode::Emul] {
        let errno = aia.set_mode(mode).err().map(|e| e.raw_os_error());
        let wanted = (m.files() == 0 && mode != Mode::Emul).then_some(Some(libc::EINVAL));

        ensure(errno == wanted, || {
            format!("setting {mode} gave errno {errno:?} instead of {wanted:?}")
        })?;
        if errno.is_none() {
            let now = aia.config(KVM_DEV_RISCV_AIA_CONFIG_MODE).context("MODE")?;

            ensure(now == mode.to_raw(), || {
                format!("mode reads {now} after {mode}")
            })?;
        }
    }
    let errno = aia
        .set_config(KVM_DEV_RISCV_AIA_CONFIG_MODE, 3)
        .err()
        .and_then(|e| e.raw_os_error());

    ensure(errno == Some(libc::EINVAL), || {
        format!("setting mode 3 gave errno {errno:?}")
    })
}

/// Each guest file of a CPU belongs to one vCPU, and sits where the machine's
/// address map says: an MSI to that physical address reaches the vCPU.
pub(crate) fn places(m: &Machine) -> Result<()> {
    for cpu in m.unlike(m.cpus()) {
        places_of(m, cpu)?;
    }
    Ok(())
}

fn places_of(m: &Machine, cpu: usize) -> Result<()> {
    const FIRST: u32 = 20;
    let imsics = m
        .imsics()
        .ok_or_else(|| Error::new("firmware shows no IMSIC"))?;
    let lines = m.files_of(cpu);
    let files = lines as usize;
    let mut guest = Guest::new(m.kvm(), Config::new(files, Mode::Hwaccel))?;

    for n in 0..files {
        guest.boot(n, &[cpu])?;
    }
    let all = |g: &Guest| (0..files).map(|n| g.total(n)).sum::<u64>();

    for line in 1..=lines {
        imsics.send_to_guest_file(cpu, line, FIRST + line)?;
    }
    guest.until(
        |g| all(g) == u64::from(lines),
        || format!("one MSI per guest file of CPU {cpu}, came {}", all(&guest)),
    )?;
    for n in 0..files {
        let lines: Vec<u32> = (1..=lines)
            .filter(|line| guest.count(n, FIRST + line) != 0)
            .collect();

        ktap::diag(format!("vCPU {n}: guest file {lines:?} of CPU {cpu}"));
        ensure(lines.len() == 1 && guest.total(n) == 1, || {
            format!("vCPU {n} took the MSIs of guest files {lines:?}")
        })?;
    }

    // A file that belongs to nobody wakes nobody; one that follows its vCPU does.
    let Some(other) = m.other(cpu) else {
        return Ok(());
    };
    for line in 1..=m.files_of(other) {
        imsics.send_to_guest_file(other, line, FIRST)?;
    }
    guest.pin(0, &[other])?;
    guest.call(0, op::NOP, &[])?;
    ensure(all(&guest) == u64::from(lines), || {
        format!("an MSI to a file of nobody on CPU {other} was taken")
    })?;
    let before = guest.total(0);

    for line in 1..=m.files_of(other) {
        imsics.send_to_guest_file(other, line, FIRST + line)?;
    }
    guest.until(
        |g| g.total(0) != before,
        || format!("an MSI after the move to CPU {other}"),
    )?;
    guest.call(0, op::NOP, &[])?;
    ensure(
        guest.total(0) == before + 1 && all(&guest) == u64::from(lines) + 1,
        || format!("{} MSIs after the move instead of 1", all(&guest)),
    )
}
