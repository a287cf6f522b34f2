// SPDX-License-Identifier: GPL-2.0

//! Workloads of which `make bench` counts what the kernel below does for them: Linux boots, and its disk has
//! some 1,000 requests.

use crate::{
    boot::{
        self,
        Wanted, //
    },
    console::{
        Console,
        Writer, //
    },
    passed,
    run,
    start, //
};
use irqtest::bench::{
    begin,
    end, //
};
use ktap::Tap;
use kvm_ioctls::Kvm;
use std::{
    process::ExitCode,
    sync::Arc, //
};
use vmm::{
    Mode,
    Result, //
};

const IDS: u32 = 255;
const REQUESTS: usize = 1000;
/// Blocks of each of the guest's threads, which are written before and read afterwards.
const BLOCKS: usize = 8;

/// Boots a guest with so many vCPUs in this mode. Booting is path `BOOT`, the requests are path `DISK`.
fn go<const BOOT: i16, const DISK: i16>(kvm: &Kvm, vcpus: usize, mode: Mode) -> Result<()> {
    let disk = format!("{REQUESTS} requests, {mode}, {vcpus} vCPUs");
    let console = Arc::new(Console::watched(move |line| {
        if line.contains("# selftest disk: start") {
            end();
            begin::<DISK>(&disk);
        } else if line.contains("# selftest disk: exit") {
            end();
        }
    }));
    let (mut guest, _lines) = boot::machine(
        kvm,
        Box::new(Writer::new(console.clone())),
        &Wanted {
            vcpus,
            mode,
            ids: IDS,
            tests: &["disk"],
            // What it writes is one exit for each character.
            args: &format!(
                "quiet aia.arg.disk=blocks={BLOCKS};rounds={}",
                REQUESTS / vcpus - 2 * BLOCKS
            ),
        },
    )?;

    begin::<BOOT>(&format!("Linux boots, {mode}, {vcpus} vCPUs"));
    start(&mut guest)?;
    run(&mut guest)?;
    passed(&console.lines(), "disk")
}

/// Boots guests with so many vCPUs.
pub fn run_all(kvm: &Kvm, vcpus: usize) -> ExitCode {
    let mut tap = Tap::new(2);

    tap.check(go::<40, 41>(kvm, vcpus, Mode::Emul), "guest in mode EMUL");
    tap.check(go::<42, 43>(kvm, vcpus, Mode::Auto), "guest in mode AUTO");
    tap.finish()
}
