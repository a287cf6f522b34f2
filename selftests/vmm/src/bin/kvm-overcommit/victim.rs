// SPDX-License-Identifier: GPL-2.0

//! vCPUs that lose their files.

use crate::steals;
use std::{
    thread::sleep,
    time::Duration, //
};
use vmm::{
    abi::op,
    diag,
    exact,
    probe::Probe,
    regs::imsic::{
        EIDELIVERY,
        EIE0,
        EIP0,
        EITHRESHOLD, //
    },
    same,
    Config,
    Context,
    Guest,
    Machine,
    Mode,
    Result, //
};

/// All files of `cpu` are taken for a machine that ends at once: whoever had one has none.
fn rob(m: &Machine, cpu: usize) -> Result<()> {
    let files = m.files_of(cpu) as usize;
    let mut thief = Guest::new(m.kvm(), Config::new(files, Mode::Hwaccel))?;

    for n in 0..files {
        thief.boot(n, &[cpu])?;
        // It runs no more, and is no victim of the next, which has not left its CPU for as long.
        thief.stop(n)?;
    }
    Ok(())
}

/// Waits until vCPU `n` waits for an interrupt.
fn asleep(guest: &Guest, n: usize) -> Result<()> {
    guest.until(
        |g| g.stats(n).is_ok_and(|s| s.get("blocking") == 1),
        || format!("vCPU {n} to sleep"),
    )?;
    // On its way there still.
    sleep(Duration::from_millis(5));
    Ok(())
}

/// vCPU 0 sleeps, loses its file, and is woken up by `wake`; in both modes.
fn wake(m: &Machine, wake: impl Fn(&Guest, u32) -> Result<()>) -> Result<()> {
    const ROUNDS: u32 = 8;

    for mode in [Mode::Hwaccel, Mode::Auto] {
        let cpu = m.cpu(0);
        let mut guest = Guest::new(m.kvm(), Config::new(2, mode))?;

        guest.boot(0, &[cpu])?;
        guest.boot(1, &[m.cpu(1)])?;
        guest.park(1);
        for round in 1..=ROUNDS {
            // The tenure of whoever was here before is over.
            sleep(Duration::from_millis(5));
            guest.give(0, op::WFI_UNTIL, &[(20 * round).into()]);
            asleep(&guest, 0)?;
            let before = steals(&guest.stats(0)?).1;

            rob(m, cpu)?;
            let lost = steals(&guest.stats(0)?).1 - before;

            // In mode auto it may have had none.
            if mode == Mode::Hwaccel {
                same(lost, 1, || format!("round {round}: files lost"))?;
            }
            wake(&guest, 20)?;
            guest.wait(0).context(format!("round {round}, {mode}"))?;
            exact(&guest, 0, 11, 20, round)?;
        }
        diag(format!("{mode}: {} losses", steals(&guest.stats(0)?).1));
    }
    Ok(())
}

pub(crate) fn woken(m: &Machine) -> Result<()> {
    wake(m, |guest, ids| {
        (11..11 + ids).try_for_each(|id| guest.signal_msi(0, id))
    })
}

/// As above; to where there is no page any more.
pub(crate) fn woken_by_vcpu(m: &Machine) -> Result<()> {
    wake(m, |guest, ids| {
        guest.unpark(1)?;
        guest.give_send(1, 0, 11, ids, 1);
        guest.wait(1)?;
        guest.park(1);
        Ok(())
    })
}

/// Some came to the file, and some after it was taken.
pub(crate) fn pending(m: &Machine) -> Result<()> {
    for mode in [Mode::Hwaccel, Mode::Auto] {
        let cpu = m.cpu(0);
        let mut guest = Guest::new(m.kvm(), Config::new(1, mode))?;

        guest.boot(0, &[cpu])?;
        for round in 1..=8 {
            guest.stop(0)?;
            for id in 1..=20 {
                guest.signal_msi(0, id)?;
            }
            rob(m, cpu)?;
            for id in 15..=40 {
                guest.signal_msi(0, id)?;
            }
            guest.start(0, &[cpu])?;
            guest.until(
                |g| (1..=40).all(|id| g.count(0, id) >= round),
                || format!("the MSIs of round {round}, {} in all", guest.total(0)),
            )?;
            exact(&guest, 0, 1, 40, round)?;
        }
    }
    Ok(())
}

/// User space finds the state in the file and in memory.
pub(crate) fn registers(m: &Machine) -> Result<()> {
    let cpu = m.cpu(0);
    let mut guest = Guest::new(m.kvm(), Config::new(1, Mode::Hwaccel))?;
    let read = |guest: &Guest| -> Result<[u64; 4]> {
        let mut values = [0; 4];

        for (value, isel) in values.iter_mut().zip([EIDELIVERY, EITHRESHOLD, EIP0, EIE0]) {
            *value = guest
                .aia()
                .imsic(0, isel)
                .context(format!("register {isel:#x}"))?;
        }
        Ok(values)
    };

    guest.boot(0, &[cpu])?;
    guest.mask(0)?;
    guest.ireg_write(0, EITHRESHOLD, 77)?;
    guest.ireg_write(0, EIE0, 0xff00)?;
    guest.signal_msi(0, 9)?;
    guest.stop(0)?;
    let before = read(&guest)?;

    rob(m, cpu)?;
    same(read(&guest)?, before, || "after the file was taken".into())?;
    same(before, [1, 77, 1 << 9, 0xff00], || "registers".into())?;
    guest.start(0, &[cpu])?;
    same(guest.ireg_read(0, EITHRESHOLD)?, 77, || "threshold".into())?;
    same(guest.ireg_read(0, EIP0)?, 1 << 9, || "pending".into())?;
    guest.stop(0)?;
    same(read(&guest)?, before, || "in a file again".into())
}

/// Of those that wait and those that could run, the former lose their files; of these the one that has
/// not run for longest.
pub(crate) fn order(m: &Machine) -> Result<()> {
    let cpu = m.cpu(0);
    let files = m.files_of(cpu) as usize;
    let mut guest = Guest::new(m.kvm(), Config::new(files, Mode::Hwaccel))?;

    for n in 0..files {
        guest.boot(n, &[cpu])?;
    }
    // vCPU 1 and those after it sleep, vCPU 0 does not.
    for n in 1..files {
        guest.park(n);
        asleep(&guest, n)?;
    }
    let losses = |guest: &Guest| -> Result<Vec<u64>> {
        (0..files).map(|n| Ok(steals(&guest.stats(n)?).1)).collect()
    };
    let before = losses(&guest)?;
    let mut thief = Guest::new(m.kvm(), Config::new(files - 1, Mode::Hwaccel))?;

    for n in 0..files - 1 {
        thief.boot(n, &[cpu])?;
        thief.park(n);
        let lost: Vec<u64> = losses(&guest)?
            .iter()
            .zip(&before)
            .map(|(after, before)| after - before)
            .collect();
        // The first ones to fall asleep, not the one that runs.
        let wanted: Vec<u64> = (0..files)
            .map(|v| u64::from((1..=n + 1).contains(&v)))
            .collect();

        same(lost, wanted, || format!("files lost to {} thieves", n + 1))?;
    }
    Ok(())
}

/// A CPU waits for interrupts of the files of those that sleep there, and not for those of who takes one of
/// them, which would interrupt it without need.
pub(crate) fn waits(m: &Machine) -> Result<()> {
    let probe = Probe::load()?;
    let cpu = m.cpu(0);
    let files = m.files_of(cpu);
    let all = ((1 << files) - 1) << 1;
    let mut guest = Guest::new(m.kvm(), Config::new(files as usize, Mode::Hwaccel))?;
    let mut thief = Guest::new(m.kvm(), Config::new(1, Mode::Hwaccel))?;

    for n in 0..files as usize {
        guest.boot(n, &[cpu])?;
        guest.park(n);
        asleep(&guest, n)?;
    }
    same(probe.idle(cpu)?.hgeie[0], all, || {
        "hgeie while all sleep".into()
    })?;
    thief.boot(0, &[cpu])?;
    let [hgeie, _] = probe.idle(cpu)?.hgeie;

    same((hgeie & !all, hgeie.count_ones()), (0, files - 1), || {
        format!("hgeie {hgeie:#x} once one of {files} files is taken")
    })
}

/// A vCPU is reset again and again while its file goes to others.
pub(crate) fn resets(m: &Machine) -> Result<()> {
    let cpu = m.cpu(0);
    let files = m.files_of(cpu) as usize;
    let mut others = Guest::new(m.kvm(), Config::new(files, Mode::Hwaccel))?;
    let mut guest = Guest::new(m.kvm(), Config::new(1, Mode::Hwaccel))?;

    for n in 0..files {
        others.boot(n, &[cpu])?;
    }
    for round in 1..=m.rounds(20) {
        guest.boot(0, &[m.cpu(round as usize)])?;
        guest.pin(0, &[cpu])?;
        guest.send_from_host(0, 1, 20, 1, Guest::signal_msi)?;
        exact(&guest, 0, 1, 20, round)?;
        guest.stop(0)?;
        // Nobody gets these.
        guest.signal_msi(0, 30)?;
        guest.reset(0)?;
        for n in 0..files {
            others.send_from_host(n, 1, 20, 1, Guest::signal_msi)?;
            exact(&others, n, 1, 20, round)?;
        }
    }
    Ok(())
}

/// Machines come and end; others work on with their files.
pub(crate) fn ends(m: &Machine) -> Result<()> {
    let cpu = m.cpu(0);
    let files = m.files_of(cpu) as usize;
    let mut others = Guest::new(m.kvm(), Config::new(files + 1, Mode::Hwaccel))?;

    for n in 0..=files {
        others.boot(n, &[cpu])?;
    }
    for round in 1..=m.rounds(20) {
        let mut guest = Guest::new(m.kvm(), Config::new(2, Mode::Hwaccel))?;

        for n in 0..2 {
            guest.boot(n, &[cpu])?;
            guest.send_from_host(n, 1, 20, 1, Guest::signal_msi)?;
        }
        guest.give_send(0, 1, 1, 20, 1000);
        for n in 0..=files {
            others.send_from_host(n, 1, 20, 1, Guest::signal_msi)?;
        }
        drop(guest);
        for n in 0..=files {
            exact(&others, n, 1, 20, round)?;
        }
    }
    Ok(())
}
