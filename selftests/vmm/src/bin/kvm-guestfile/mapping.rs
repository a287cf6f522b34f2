// SPDX-License-Identifier: GPL-2.0

//! How a guest file is mapped for the guest.

use vmm::{
    abi::{
        mailbox_address,
        op, //
    },
    diag,
    ensure,
    host::{
        has_extension,
        Imsics, //
    },
    probe::{
        Entry,
        Probe, //
    },
    same,
    Config,
    Context,
    Error,
    Guest,
    Machine,
    Mode,
    Result, //
};

/// V, R, W, U, A and D of a page-table entry; the G-stage's entries are all for U-mode.
const DATA: u64 = 0xd7;
const EXECUTABLE: u64 = 1 << 3;
/// Svpbmt: memory of a device, not idempotent and strongly ordered.
const PBMT_IO: u64 = 2 << 61;

/// The pages of the machine's guest files, and how they have to be mapped.
struct Pages<'a> {
    m: &'a Machine,
    imsics: &'a Imsics,
    probe: Probe,
    /// The attributes of a page of device registers.
    device: u64,
}

impl<'a> Pages<'a> {
    fn new(m: &'a Machine) -> Result<Self> {
        Ok(Self {
            m,
            imsics: m
                .imsics()
                .ok_or_else(|| Error::new("firmware shows no IMSIC"))?,
            probe: Probe::load()?,
            device: if has_extension("svpbmt")? {
                DATA | PBMT_IO
            } else {
                DATA
            },
        })
    }

    /// The entry for the IMSIC of a vCPU of a machine that runs on `cpu`.
    fn entry(&self, guest: &Guest, vcpu: usize, cpu: usize) -> Result<Entry> {
        self.probe.gstage(cpu, guest.config().imsic_page(vcpu))
    }

    /// Nothing is mapped there.
    fn none(&self, guest: &Guest, vcpu: usize, cpu: usize) -> Result<()> {
        let entry = self.entry(guest, vcpu, cpu)?;

        ensure(!entry.is_valid(), || {
            format!("vCPU {vcpu} on CPU {cpu} has an IMSIC in hardware: {entry:x?}")
        })
    }

    /// Which of the guest files of `cpu` is mapped there, as it should be.
    fn line(&self, guest: &Guest, vcpu: usize, cpu: usize) -> Result<u32> {
        let entry = self.entry(guest, vcpu, cpu)?;

        same((entry.level, entry.attributes()), (0, self.device), || {
            format!("vCPU {vcpu} on CPU {cpu}: level and attributes of {entry:x?}")
        })?;
        for line in 1..=self.m.files_of(cpu) {
            if self.imsics.guest_file(cpu, line)? == entry.address() {
                return Ok(line);
            }
        }
        Err(Error::new(format!(
            "vCPU {vcpu} has something else than a guest file of CPU {cpu}: {entry:x?}"
        )))
    }

    /// The same, and it is the one whose interrupts the vCPU takes.
    fn own(&self, guest: &Guest, vcpu: usize, cpu: usize) -> Result<u32> {
        const ID: u32 = 30;
        let line = self.line(guest, vcpu, cpu)?;
        let before = guest.count(vcpu, ID);

        self.imsics.send_to_guest_file(cpu, line, ID)?;
        guest.until(
            |g| g.count(vcpu, ID) == before + 1,
            || format!("an MSI to guest file {line} of CPU {cpu}, vCPU {vcpu}"),
        )?;
        Ok(line)
    }
}

/// Moves a vCPU that is in the guest, and is so again afterwards.
fn go(guest: &Guest, vcpu: usize, cpu: usize) -> Result<()> {
    guest.pin(vcpu, &[cpu])?;
    guest.call(vcpu, op::NOP, &[]).map(drop)
}

/// The IMSIC of a vCPU is the page of its guest file on each CPU, for a device; no
/// page next to it is mapped, and memory is mapped as memory.
pub(crate) fn guest_file(m: &Machine) -> Result<()> {
    let pages = Pages::new(m)?;
    let guest = m.boot(Config {
        guest_bits: 1,
        ..Config::new(1, Mode::Hwaccel)
    })?;
    let imsic = guest.config().imsic_page(0);

    for round in 0..2 {
        for &cpu in m.cpus() {
            let at = || format!("round {round}, CPU {cpu}");

            go(&guest, 0, cpu)?;
            pages.own(&guest, 0, cpu).context(at())?;
            for near in [imsic - 0x1000, imsic + 0x1000] {
                let entry = pages.probe.gstage(cpu, near)?;

                ensure(!entry.is_valid(), || {
                    format!("{}: {near:#x} is mapped, {entry:x?}", at())
                })?;
            }
            let ram = pages.probe.gstage(cpu, mailbox_address(0))?;

            if round == 0 && cpu == m.cpu(0) {
                let page = pages.entry(&guest, 0, cpu)?;

                diag(format!("a guest file: {page:x?}, memory: {ram:x?}"));
            }
            same(ram.attributes(), DATA | EXECUTABLE, || {
                format!("{}: attributes of memory, {ram:x?}", at())
            })?;
        }
    }
    Ok(())
}

/// No IMSIC in software is mapped, also after MSIs and a move.
pub(crate) fn emul(m: &Machine) -> Result<()> {
    let probe = Probe::load()?;
    let guest = m.boot(Config::new(1, Mode::Emul))?;

    for &cpu in m.cpus() {
        go(&guest, 0, cpu)?;
        guest.send_from_host(0, 1, 20, 1, Guest::signal_msi)?;
        let entry = probe.gstage(cpu, guest.config().imsic_page(0))?;

        ensure(!entry.is_valid(), || {
            format!("an IMSIC in software is mapped on CPU {cpu}: {entry:x?}")
        })?;
        let ram = probe.gstage(cpu, mailbox_address(0))?;

        ensure(ram.is_valid(), || {
            format!("memory is not mapped on CPU {cpu}: {ram:x?}")
        })?;
    }
    Ok(())
}

/// As [`auto`] where the last vCPU takes the file of one of the others, which are stopped on `full`: that one
/// is not mapped then.
fn shared(pages: &Pages<'_>, guest: &mut Guest, cpu: usize, full: usize) -> Result<()> {
    let files = guest.config().vcpus - 1;

    for round in 0..2 {
        for n in 0..files {
            guest.stop(n)?;
        }
        pages
            .own(guest, files, cpu)
            .context(format!("round {round}"))?;
        go(guest, files, full)?;
        // As soon as the others have had theirs for long enough.
        guest.until(
            |g| pages.line(g, files, full).is_ok(),
            || format!("round {round}: a guest file of CPU {full}"),
        )?;
        let mut lines = vec![pages.own(guest, files, full)?];

        for n in 0..files {
            if pages.entry(guest, n, full)?.is_valid() {
                lines.push(pages.line(guest, n, full)?);
            }
        }
        lines.sort_unstable();
        same(lines, (1..=files as u32).collect(), || {
            format!("round {round}: guest files of CPU {full} in use")
        })?;
        go(guest, files, cpu)?;
        // One of them finds the file that is free now.
        for n in 0..files {
            guest.start(n, &[full])?;
        }
    }
    Ok(())
}

/// A vCPU that goes to a CPU without a free guest file loses the page, and has one
/// again when it is back; the others there have pages of their own.
pub(crate) fn auto(m: &Machine) -> Result<()> {
    let pages = Pages::new(m)?;
    let cpu = m.cpu(0);
    let full = m.other(cpu).ok_or_else(|| Error::new("no other CPU"))?;
    let files = m.files_of(full) as usize;
    let mut guest = Guest::new(m.kvm(), Config::new(files + 1, Mode::Auto))?;

    for n in 0..files {
        guest.boot(n, &[full])?;
    }
    guest.boot(files, &[cpu])?;
    if m.overcommits()? {
        return shared(&pages, &mut guest, cpu, full);
    }
    for round in 0..2 {
        pages
            .own(&guest, files, cpu)
            .context(format!("round {round}"))?;
        go(&guest, files, full)?;
        pages
            .none(&guest, files, full)
            .context(format!("round {round}"))?;
        let mut lines = (0..files)
            .map(|n| pages.own(&guest, n, full))
            .collect::<Result<Vec<_>>>()?;

        lines.sort_unstable();
        same(lines, (1..=files as u32).collect(), || {
            format!("round {round}: guest files of CPU {full} in use")
        })?;
        go(&guest, files, cpu)?;
    }
    Ok(())
}

/// An interrupt file at an address that no guest has is mapped nowhere: its upper bits are none of the
/// page table's.
pub(crate) fn beyond(m: &Machine) -> Result<()> {
    const KVM_CAP_VM_GPA_BITS: u64 = 207;
    let probe = Probe::load()?;
    let cpu = m.cpu(0);
    let bits = m.kvm().check_extension_raw(KVM_CAP_VM_GPA_BITS);

    ensure((41..63).contains(&bits), || {
        format!("{bits} bits of guest-physical addresses")
    })?;
    for far in [false, true] {
        let mut guest = Guest::bare(m.kvm(), Config::new(1, Mode::Hwaccel))?;
        let page = guest.config().imsic_page(0);

        if far {
            guest
                .aia()
                .set_imsic_addr(0, page + (1 << bits))
                .context("address")?;
        }
        guest.ready()?;
        guest.boot(0, &[cpu])?;
        let entry = probe.gstage(cpu, page)?;

        ensure(entry.is_valid() != far, || {
            format!("beyond: {far}, at {page:#x} there is {entry:x?}")
        })?;
    }
    Ok(())
}
