// SPDX-License-Identifier: GPL-2.0

//! Makes a list of the seeds, which are files in the folder corpus, and links without what libFuzzer has for
//! dynamic programs.

use std::{
    env,
    fmt::Write,
    fs,
    path::Path, //
};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let corpus = Path::new(&root).join("corpus");
    let mut files: Vec<_> = fs::read_dir(&corpus)
        .map(|files| files.flatten().map(|file| file.path()).collect())
        .unwrap_or_default();

    files.sort();
    let mut list = String::new();

    for path in &files {
        let name = path.file_name().unwrap_or_default();

        writeln!(list, "({name:?}, include_bytes!({path:?})),").expect("memory");
    }
    let out = env::var("OUT_DIR").expect("cargo sets it");

    fs::write(Path::new(&out).join("seeds.rs"), format!("&[{list}]")).expect("a list of seeds");
    println!("cargo::rerun-if-changed=corpus");

    // libFuzzer has functions of these names around those of the C library, which it looks for by dlsym().
    // In a static program there is none. The ones of the C library come first, and no other is taken then.
    for name in [
        "memcmp",
        "memmem",
        "strcasecmp",
        "strcasestr",
        "strcmp",
        "strncasecmp",
        "strncmp",
        "strstr",
    ] {
        println!("cargo::rustc-link-arg-bins=-Wl,--undefined={name}");
    }
    println!("cargo::rustc-link-lib=static:-bundle=c");
}
