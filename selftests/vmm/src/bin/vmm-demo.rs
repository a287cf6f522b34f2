// SPDX-License-Identifier: GPL-2.0

//! Shows in a few lines what a hardware guest interrupt file is good for: a
//! guest gets MSIs in one, and again in software, and KVM counts the exits.

use kvm_ioctls::{
    Cap,
    Kvm, //
};
use std::process::ExitCode;
use vmm::{
    ensure,
    exact,
    host::{
        self,
        Imsics, //
    },
    measure,
    suite,
    Config,
    Context,
    Error,
    Guest,
    Mode,
    Report,
    Result, //
};

const IDS: u32 = 50;
const ROUNDS: u32 = 40;
const MSIS: u32 = IDS * ROUNDS;
/// Identity of the MSIs that look for the guest file.
const PROBE: u32 = 60;

/// Sends MSIs from the VMM and from the guest itself, to vCPU 0.
fn run(kvm: &Kvm, mode: Mode, cpu: usize) -> Result<(Guest, Report)> {
    let mut guest = Guest::new(kvm, Config::new(1, mode))?;

    guest.boot(0, &[cpu])?;
    let report = measure(&mut guest, &[0], &[cpu], |g| {
        g.send_from_host(0, 1, IDS, ROUNDS / 2, Guest::signal_msi)?;
        g.give_send(0, 0, 1, IDS, (ROUNDS / 2).into());
        g.wait(0)?;
        Ok(())
    })?;

    exact(&guest, 0, 1, IDS, ROUNDS)?;
    Ok((guest, report))
}

/// The guest file in which vCPU 0 is: the one whose page takes it an MSI.
fn find_file(guest: &Guest, imsics: &Imsics, cpu: usize, files: u32) -> Result<(u32, u64)> {
    for line in 1..=files {
        let before = guest.count(0, PROBE);

        imsics.send_to_guest_file(cpu, line, PROBE)?;
        // A vCPU that polls takes it at once; the others never will.
        for _ in 0..100 {
            if guest.count(0, PROBE) != before {
                return Ok((line, imsics.guest_file(cpu, line)?));
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
    Err(Error::new(format!(
        "the vCPU is in no guest file of CPU {cpu}"
    )))
}

fn demo() -> Result<()> {
    if !host::has_hypervisor()? {
        println!("KVM: this machine has no hypervisor extension");
        return Ok(());
    }
    let kvm = Kvm::new().context("/dev/kvm")?;
    if !kvm.check_extension(Cap::Irqchip) {
        println!("KVM: this machine has no AIA for guests");
        return Ok(());
    }
    // As many as the tester says, if that is who wants to know.
    let told = suite::told("kvm_files")?;
    let files = match (host::kvm_guest_files()?, told) {
        (Some(files), Some(told)) if files != told => {
            return Err(Error::new(format!(
                "{files} guest files, where the machine has {told}"
            )));
        }
        (Some(files), _) => files,
        (None, told) => told.unwrap_or(0),
    };
    let cpus = host::online_cpus()?;
    // Not the first CPU if there is another: that one has the console's interrupts.
    let cpu = cpus[cpus.len() - 1];

    if files == 0 {
        println!("KVM: no guest interrupt files on this machine; the guest's are emulated");
    } else {
        let (guest, report) = run(&kvm, Mode::Hwaccel, cpu)?;
        let place = match Imsics::read()? {
            Some(imsics) => {
                let (line, addr) = find_file(&guest, &imsics, cpu, files)?;
                format!("guest file {line} of CPU {cpu}, at {addr:#x}")
            }
            None => format!("a guest file of CPU {cpu}"),
        };

        ensure(report.traps == 0, || {
            format!("{} exits for MSIs to a guest file", report.traps)
        })?;
        println!(
            "KVM guest, hardware guest file: {MSIS} MSIs received in {place}: {} exits for them \
             (of {} in all, the host took {} interrupts there meanwhile)",
            report.traps, report.exits, report.host_interrupts,
        );
    }
    let (_, report) = run(&kvm, Mode::Emul, cpu)?;

    ensure(report.traps >= MSIS.into(), || {
        format!("{} exits for {MSIS} emulated MSIs", report.traps)
    })?;

    println!(
        "KVM guest, emulated file:       {MSIS} MSIs received: {} exits for them, {}.{} each",
        report.traps,
        report.traps / u64::from(MSIS),
        report.traps * 10 / u64::from(MSIS) % 10,
    );
    Ok(())
}

fn main() -> ExitCode {
    match demo() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("vmm-demo: {e}");
            ExitCode::FAILURE
        }
    }
}
