// SPDX-License-Identifier: GPL-2.0

//! Builds the guest programs to flat images in `OUT_DIR`: `guest/main.rs`, which
//! `src/guest.rs` includes, and `guest/trace/main.rs`, which `kvm-aia-trace` does, and
//! which the harness boots on QEMU.

use std::{
    env, fs,
    path::PathBuf,
    process::{
        exit,
        Command, //
    },
};

fn var(name: &str) -> String {
    env::var(name).unwrap_or_else(|e| fail(&format!("{name}: {e}")))
}

fn fail(why: &str) -> ! {
    eprintln!("guest program: {why}");
    exit(1)
}

/// A little-endian number of `LEN` bytes in the file.
fn number<const LEN: usize>(elf: &[u8], at: usize) -> Option<usize> {
    let bytes = elf.get(at..at + LEN)?;

    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |n, &b| (n << 8) | usize::from(b)),
    )
}

/// The loadable segments of a 64-bit ELF file as they lie in memory, from the
/// lowest address on, which must be the entry point.
fn flatten(elf: &[u8]) -> Option<Vec<u8>> {
    const PT_LOAD: usize = 1;
    let (entry, phoff) = (number::<8>(elf, 24)?, number::<8>(elf, 32)?);
    let (phentsize, phnum) = (number::<2>(elf, 54)?, number::<2>(elf, 56)?);
    let mut image = Vec::new();

    for ph in (0..phnum).map(|n| phoff + n * phentsize) {
        if number::<4>(elf, ph)? != PT_LOAD {
            continue;
        }
        let offset = number::<8>(elf, ph + 8)?;
        let start = number::<8>(elf, ph + 16)?.checked_sub(entry)?;
        let bytes = elf.get(offset..offset + number::<8>(elf, ph + 32)?)?;

        let size = number::<8>(elf, ph + 40)?;

        image.resize(image.len().max(start + size), 0);
        image[start..start + bytes.len()].copy_from_slice(bytes);
    }
    (!image.is_empty()).then_some(image)
}

/// Builds the program in `source` to OUT_DIR/`name`.bin, for this load address.
fn build(target: &str, name: &str, source: &str, base: u64) {
    let out = PathBuf::from(var("OUT_DIR"));
    let elf = out.join(format!("{name}.elf"));
    let script = PathBuf::from(var("CARGO_MANIFEST_DIR")).join("guest/guest.ld");

    // A bare-metal program on the target that the tests have anyway: only
    // `core` of it is used. The image is linked to where it is loaded.
    let status = Command::new(var("RUSTC"))
        .args([
            source,
            "--crate-name",
            name,
            "--crate-type=bin",
            "--edition=2021",
        ])
        .args(["--target", target, "-Dwarnings"])
        .args([
            "-Copt-level=2",
            "-Cpanic=abort",
            "-Ccodegen-units=1",
            "-Coverflow-checks=off",
        ])
        .args([
            "-Crelocation-model=static",
            "-Ccode-model=medium",
            "-Ctarget-feature=+crt-static",
        ])
        .arg(format!(
            "-Clinker={}",
            env::var("RUSTC_LINKER").unwrap_or_else(|_| "riscv64-linux-gnu-gcc".into())
        ))
        .args([
            "-Clink-arg=-nostartfiles",
            "-Clink-arg=-nostdlib",
            "-Clink-arg=-static",
        ])
        .args(["-Clink-arg=-no-pie", "-Clink-arg=-Wl,--build-id=none"])
        .arg("-Crelro-level=off")
        .arg(format!("-Clink-arg=-Wl,-T,{}", script.display()))
        .arg(format!("-Clink-arg=-Wl,--defsym,IMAGE_BASE={base:#x}"))
        .arg("-o")
        .arg(&elf)
        .status()
        .unwrap_or_else(|e| fail(&format!("cannot run rustc: {e}")));
    if !status.success() {
        fail(&format!("rustc failed on {source}"));
    }
    let image = fs::read(&elf)
        .ok()
        .and_then(|elf| flatten(&elf))
        .unwrap_or_else(|| fail(&format!("{name}.elf makes no sense")));
    fs::write(out.join(format!("{name}.bin")), image).unwrap_or_else(|e| fail(&e.to_string()));
}

fn main() {
    println!("cargo:rerun-if-changed=guest");
    // The trace has it, too.
    println!("cargo:rerun-if-changed=src/regs.rs");

    let target = var("TARGET");
    if !target.starts_with("riscv64") {
        fail(&format!(
            "this package is for riscv64, not for {target}: give cargo --target riscv64gc-unknown-linux-gnu"
        ));
    }
    build(&target, "guest", "guest/main.rs", 0x8000_0000);
    // Where OpenSBI enters a payload; below is the firmware.
    build(&target, "trace", "guest/trace/main.rs", 0x8020_0000);
}
