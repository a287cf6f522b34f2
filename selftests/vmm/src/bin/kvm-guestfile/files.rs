// SPDX-License-Identifier: GPL-2.0

//! The guest interrupt files of the machine, and where vCPUs find theirs.

use kvm_bindings::KVM_DEV_RISCV_AIA_CONFIG_MODE;
use kvm_ioctls::VmFd;
use vmm::{
    abi::op,
    ensure,
    host::{
        self,
        Imsics, //
    },
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

pub(crate) fn file_count(m: &Machine) -> Result<()> {
    let kernel = host::kvm_guest_files()?;

    ktap::diag(format!(
        "kernel: {kernel:?} guest files per CPU, told: {:?}, room: {:?}",
        m.told_files(),
        m.imsics().map(Imsics::room),
    ));
    if let (Some(kernel), Some(expected)) = (kernel, m.told_files()) {
        ensure(kernel == expected, || {
            format!("the kernel found {kernel} guest files, the machine has {expected}")
        })?;
    }
    if let Some(room) = m.imsics().map(Imsics::room) {
        // QEMU may have fewer files than pages, but has some if there are pages.
        ensure(m.files() <= room && (m.files() == 0) == (room == 0), || {
            format!(
                "{} guest files where the device tree has room for {room}",
                m.files()
            )
        })?;
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
    const FIRST: u32 = 20;
    let imsics = m
        .imsics()
        .ok_or_else(|| Error::new("the device tree shows no IMSIC"))?;
    let files = m.files() as usize;
    let cpu = m.cpu(0);
    let mut guest = Guest::new(m.kvm(), Config::new(files, Mode::Hwaccel))?;

    for n in 0..files {
        guest.boot(n, &[cpu])?;
    }
    let all = |g: &Guest| (0..files).map(|n| g.total(n)).sum::<u64>();

    for line in 1..=m.files() {
        imsics.send_to_guest_file(cpu, line, FIRST + line)?;
    }
    guest.until(
        |g| all(g) == m.files().into(),
        || format!("one MSI per guest file of CPU {cpu}, came {}", all(&guest)),
    )?;
    for n in 0..files {
        let lines: Vec<u32> = (1..=m.files())
            .filter(|line| guest.count(n, FIRST + line) != 0)
            .collect();

        ktap::diag(format!("vCPU {n}: guest file {lines:?} of CPU {cpu}"));
        ensure(lines.len() == 1 && guest.total(n) == 1, || {
            format!("vCPU {n} took the MSIs of guest files {lines:?}")
        })?;
    }

    // A file that belongs to nobody wakes nobody; one that follows its vCPU does.
    let Some(&other) = m.cpus().get(1) else {
        return Ok(());
    };
    for line in 1..=m.files() {
        imsics.send_to_guest_file(other, line, FIRST)?;
    }
    guest.pin(0, &[other])?;
    guest.call(0, op::NOP, &[])?;
    ensure(all(&guest) == m.files().into(), || {
        format!("an MSI to a file of nobody on CPU {other} was taken")
    })?;
    let before = guest.total(0);

    for line in 1..=m.files() {
        imsics.send_to_guest_file(other, line, FIRST + line)?;
    }
    guest.until(
        |g| g.total(0) != before,
        || format!("an MSI after the move to CPU {other}"),
    )?;
    guest.call(0, op::NOP, &[])?;
    ensure(
        guest.total(0) == before + 1 && all(&guest) == u64::from(m.files()) + 1,
        || format!("{} MSIs after the move instead of 1", all(&guest)),
    )
}
