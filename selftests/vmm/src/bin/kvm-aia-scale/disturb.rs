// SPDX-License-Identifier: GPL-2.0

//! What happens to vCPUs while MSIs flow.

use std::{
    thread::sleep,
    time::Duration, //
};
use vmm::{
    host::set_online,
    same,
    Config,
    End,
    Guest,
    Machine,
    Mode,
    Result,
    NO_VSFILE, //
};

/// Small numbers that look like chance (xorshift).
#[derive(Debug)]
pub(crate) struct Random(u32);

impl Random {
    pub(crate) fn new(seed: u32) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b1) | 1)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        (self.0 >> 4) as usize % end
    }
}

/// Sends some vCPU of `guest` elsewhere, often before it got where it was sent last.
pub(crate) fn shove(m: &Machine, guest: &Guest, random: &mut Random) -> Result<()> {
    let vcpu = random.below(guest.config().vcpus);

    guest.pin(vcpu, &[m.cpu(random.below(m.cpus().len()))])?;
    sleep(Duration::from_micros(random.below(400) as u64));
    Ok(())
}

/// A machine whose vCPUs go around and take guest files.
pub(crate) struct Thief<'a> {
    m: &'a Machine,
    guest: Guest,
    random: Random,
    refused: u32,
    moved: u32,
}

impl<'a> Thief<'a> {
    /// The identity that makes a vCPU run, so that it takes a file.
    const POKE: u32 = 1;

    /// It leaves two files to others. It must be there before them.
    pub(crate) fn new(m: &'a Machine) -> Result<Self> {
        let files = m.files() as usize * m.cpus().len();
        let cfg = Config::new((files - 2).max(1), Mode::Hwaccel);
        let mut guest = Guest::new(m.kvm(), cfg)?;

        for n in 0..cfg.vcpus {
            guest.boot(n, &[m.cpu(n)])?;
            guest.park(n);
        }
        Ok(Self {
            m,
            guest,
            random: Random::new(7),
            refused: 0,
            moved: 0,
        })
    }

    /// One of them goes somewhere else. Where there is no file for it, it tries
    /// again the next time.
    pub(crate) fn go(&mut self) -> Result<()> {
        let vcpu = self.random.below(self.guest.config().vcpus);
        let cpu = self.m.cpu(self.random.below(self.m.cpus().len()));

        if self.guest.ended(vcpu) {
            let end = self.guest.wait_end(vcpu)?;
            let refused = matches!(
                end,
                End::FailEntry {
                    reason: NO_VSFILE,
                    ..
                }
            );

            same(refused, true, || {
                format!("vCPU {vcpu} of the thief is refused: {end:?}")
            })?;
            self.refused += 1;
            self.guest.start(vcpu, &[cpu])?;
        } else {
            self.guest.pin(vcpu, &[cpu])?;
        }
        self.moved += 1;
        self.guest.signal_msi(vcpu, Self::POKE)
    }

    /// How often they moved, and found no file.
    pub(crate) fn report(&self) -> String {
        format!(
            "the thief moved {} times, found no file {} times",
            self.moved, self.refused
        )
    }
}

/// A CPU other than the first goes, and comes back.
pub(crate) fn blink(m: &Machine, random: &mut Random) -> Result<()> {
    let cpu = m.cpus()[1 + random.below(m.cpus().len() - 1)];

    set_online(cpu, false)?;
    sleep(Duration::from_millis(random.below(30) as u64));
    set_online(cpu, true)
}
