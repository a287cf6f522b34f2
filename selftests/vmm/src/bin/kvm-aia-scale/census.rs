// SPDX-License-Identifier: GPL-2.0

//! Any number of vCPUs: what is sent to one reaches it, and nobody else.

use vmm::{
    abi::{
        op,
        APLIC_BASE, //
    },
    diag,
    regs::aplic::*,
    same,
    Config,
    Context,
    Guest,
    Machine,
    Mode,
    Result, //
};

/// Identities of vCPU 0, by MSIs, extempore MSIs and a wire; those of the next
/// vCPUs follow.
const MSI: u32 = 1;
const EXTEMPORE: u32 = 65;
const WIRE: u32 = 129;
const LAST: u32 = WIRE + 63;

/// A machine, and how many interrupts of each identity there must be.
struct Census {
    guest: Guest,
    wanted: Vec<[u32; LAST as usize + 1]>,
}

impl Census {
    fn new(m: &Machine, cfg: Config) -> Result<Self> {
        let guest = m.boot(cfg)?;

        // So many cannot all be awake.
        for vcpu in 0..cfg.vcpus {
            guest.park(vcpu);
        }
        Ok(Self {
            guest,
            wanted: vec![[0; LAST as usize + 1]; cfg.vcpus],
        })
    }

    /// vCPU `to` has, or will soon have, one more interrupt of identity `id`.
    fn came(&mut self, to: usize, id: u32) -> Result<()> {
        let wanted = &mut self.wanted[to][id as usize];

        *wanted += 1;
        self.guest.until(
            |g| g.count(to, id) >= *wanted,
            || format!("interrupt {wanted} of identity {id} of vCPU {to}"),
        )
    }

    /// Nothing else came to anybody.
    fn check(&self, when: &str) -> Result<()> {
        for (vcpu, wanted) in self.wanted.iter().enumerate() {
            for (id, &wanted) in wanted.iter().enumerate() {
                same(self.guest.count(vcpu, id as u32), wanted, || {
                    format!("interrupts {id} of vCPU {vcpu} {when}")
                })?;
            }
            let all: u32 = wanted.iter().sum::<u32>() + self.guest.count(vcpu, Guest::WAKE);

            same(self.guest.total(vcpu), all.into(), || {
                format!("interrupts of vCPU {vcpu} {when}")
            })?;
        }
        Ok(())
    }

    /// From the VMM, to one after the other.
    fn by_host(&mut self) -> Result<()> {
        for to in 0..self.wanted.len() {
            let id = MSI + to as u32;

            self.guest.signal_msi(to, id)?;
            self.came(to, id)?;
        }
        self.check("by KVM_SIGNAL_MSI")
    }

    /// From vCPU `from`, which is awake, by a store to `addr`.
    fn store(&self, from: usize, addr: u64, value: u32) -> Result<()> {
        self.guest
            .call(from, op::WRITE32, &[addr, value.into()])
            .map(drop)
    }

    /// From each vCPU to another one, which is far away at times.
    fn by_peers(&mut self) -> Result<()> {
        let vcpus = self.wanted.len();

        for from in 0..vcpus {
            let to = (from * 7 + 1) % vcpus;
            let id = MSI + to as u32;

            self.guest.unpark(from)?;
            self.store(from, self.guest.config().imsic_page(to), id)?;
            self.came(to, id)?;
            self.guest.park(from);
        }
        self.check("by other vCPUs")
    }

    fn aplic(&self, offset: u32, value: u32) -> Result<()> {
        self.store(0, APLIC_BASE + u64::from(offset), value)
    }

    /// Source n + 1 of the APLIC goes to vCPU n, and genmsi to anyone.
    fn by_aplic(&mut self) -> Result<()> {
        self.guest.unpark(0)?;
        self.aplic(DOMAINCFG, IE)?;
        for to in 0..self.wanted.len() as u32 {
            let source = 4 * (to + 1);

            self.aplic(SOURCECFG + source, sm::EDGE1)?;
            self.aplic(TARGET + source, (to << 18) | (WIRE + to))?;
            self.aplic(SETIENUM, to + 1)?;
        }
        for to in 0..self.wanted.len() {
            self.guest.irq_line(to as u32 + 1, true)?;
            self.came(to, WIRE + to as u32)?;
            self.guest.irq_line(to as u32 + 1, false)?;
        }
        self.check("by wires")?;
        for to in 0..self.wanted.len() {
            let id = EXTEMPORE + to as u32;

            self.aplic(GENMSI, ((to as u32) << 18) | id)?;
            self.came(to, id)?;
        }
        self.check("by genmsi")
    }
}

/// All that with so many vCPUs in a mode.
fn run(m: &Machine, cfg: Config) -> Result<()> {
    let mut census = Census::new(m, cfg)?;

    census.by_host()?;
    census.by_peers()?;
    census.by_aplic()?;
    diag(format!("{} vCPUs, {}", cfg.vcpus, cfg.mode));
    Ok(())
}

/// All that with `N` vCPUs, in all modes in which there can be so many.
pub(crate) fn of<const N: usize>(m: &Machine) -> Result<()> {
    let files = m.files() as usize;
    let in_files = N.div_ceil(m.cpus().len()) <= files;

    for (mode, possible) in [
        (Mode::Emul, true),
        (Mode::Hwaccel, in_files),
        (Mode::Auto, files != 0),
    ] {
        if possible {
            let cfg = Config {
                sources: N as u32,
                ..Config::new(N, mode)
            };

            run(m, cfg).context(format!("{N} vCPUs, {mode}"))?;
        }
    }
    Ok(())
}
