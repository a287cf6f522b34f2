// SPDX-License-Identifier: GPL-2.0

//! What KVM's statistics of a vCPU say of its interrupt file.

use vmm::{
    abi::op,
    exact,
    host::set_online,
    same,
    Config,
    Guest,
    Machine,
    Mode,
    Result,
    Stats, //
};

const IDS: u32 = 40;
const ROUNDS: u32 = 10;
const MSIS: u64 = (IDS * ROUNDS) as u64;

/// MSIs to a file and to memory, moves, entries without a file, evictions.
fn counts(stats: &Stats) -> [u64; 5] {
    [
        "aia_msi_file",
        "aia_msi_memory",
        "aia_file_moves",
        "aia_file_misses",
        "aia_file_evictions",
    ]
    .map(|name| stats.get(name))
}

/// MSIs of the host to a vCPU that stays where it is; what is counted meanwhile.
fn sent(m: &Machine, mode: Mode) -> Result<[u64; 5]> {
    let guest = m.boot(Config::new(1, mode))?;
    let before = guest.stats(0)?;

    guest.send_from_host(0, 1, IDS, ROUNDS, Guest::signal_msi)?;
    exact(&guest, 0, 1, IDS, ROUNDS)?;
    Ok(counts(&guest.stats(0)?.since(&before)))
}

pub(crate) fn memory(m: &Machine) -> Result<()> {
    same(sent(m, Mode::Emul)?, [0, MSIS, 0, 0, 0], || {
        format!("{MSIS} MSIs to memory")
    })
}

pub(crate) fn file(m: &Machine) -> Result<()> {
    same(sent(m, Mode::Hwaccel)?, [MSIS, 0, 0, 0, 0], || {
        format!("{MSIS} MSIs to a guest file")
    })
}

/// The state follows the vCPU to each of its CPUs, once.
pub(crate) fn moves(m: &Machine) -> Result<()> {
    const MOVES: usize = 8;
    let guest = m.boot(Config::new(1, Mode::Hwaccel))?;

    same(counts(&guest.stats(0)?)[2], 1, || {
        "from memory to the first guest file".into()
    })?;
    for n in 1..=MOVES {
        guest.pin(0, &[m.cpu(n)])?;
        guest.call(0, op::NOP, &[])?;
    }
    same(
        counts(&guest.stats(0)?),
        [0, 0, 1 + MOVES as u64, 0, 0],
        || format!("{MOVES} moves"),
    )
}

/// One vCPU more than guest files: some enter without, and some take the files of others, which lose
/// them.
pub(crate) fn misses(m: &Machine) -> Result<()> {
    let cpu = m.cpu(0);
    let files = m.files_of(cpu) as usize;
    let mut guest = Guest::new(m.kvm(), Config::new(files + 1, Mode::Auto))?;

    for n in 0..=files {
        guest.boot(n, &[cpu])?;
    }
    let mut sum = [0; 4];

    // So that nothing changes from one to the next.
    for n in 0..=files {
        guest.stop(n)?;
    }
    for n in 0..=files {
        let stats = guest.stats(n)?;
        let [_, _, moves, misses, _] = counts(&stats);
        let [steals, losses] = ["aia_file_steals", "aia_file_losses"].map(|name| stats.get(name));

        for (sum, one) in sum.iter_mut().zip([moves, misses, steals, losses]) {
            *sum += one;
        }
    }
    let [moves, misses, steals, losses] = sum;

    // The first move of each file is to a free one, each later one takes it from somebody.
    same(
        (moves, losses, misses + steals > 0),
        (files as u64 + steals, steals, true),
        || {
            format!(
                "{files} files, {misses} misses, {steals} steals: moves, files lost, and whether one \
                 was missing"
            )
        },
    )
}

/// A CPU that goes takes the file of a vCPU that does not run.
pub(crate) fn evictions(m: &Machine) -> Result<()> {
    let _back = m.cpus_back();
    let mut guest = Guest::new(m.kvm(), Config::new(1, Mode::Hwaccel))?;
    let cpu = m.cpu(1);

    guest.boot(0, &[cpu])?;
    guest.stop(0)?;
    let before = guest.stats(0)?;

    guest.signal_msi(0, 1)?;
    set_online(cpu, false)?;
    guest.signal_msi(0, 2)?;
    same(
        counts(&guest.stats(0)?.since(&before)),
        [1, 1, 0, 0, 1],
        || format!("CPU {cpu} went"),
    )?;
    guest.start(0, &[m.cpu(0)])?;
    guest.until(
        |g| g.total(0) >= 2,
        || format!("2 MSIs, counted {}", guest.total(0)),
    )?;
    exact(&guest, 0, 1, 2, 1)?;
    same(counts(&guest.stats(0)?.since(&before))[2], 1, || {
        "to another CPU".into()
    })
}
