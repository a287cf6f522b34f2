// SPDX-License-Identifier: GPL-2.0

//! A guest stops with interrupts in flight, and goes on in another machine: none is lost, none
//! comes twice.
//!
//! Both machines run the same program, which waits with interrupts masked; so nothing but the state
//! of the interrupt controllers has to be moved.

use crate::{
    auto::anywhere,
    snapshot::{
        self,
        Snapshot, //
    },
    sys::Device, //
};
use std::{
    collections::BTreeMap,
    thread::sleep,
    time::Duration, //
};
use vmm::{
    abi::op,
    ext,
    regs::{
        aplic::{
            self,
            sm, //
        },
        imsic, //
    },
    same,
    Config,
    Context,
    Guest,
    Machine,
    Mode,
    Result, //
};

const IDS: u32 = 63;
const SOURCES: u32 = 40;

/// A word of identities.
fn bits(ids: &[u32]) -> u64 {
    ids.iter().fold(0, |word, id| word | 1 << id)
}

/// A guest of two vCPUs.
struct Running {
    guest: Guest,
    device: Device,
    cpus: [usize; 2],
    /// What each vCPU has to count.
    wanted: [BTreeMap<u32, u32>; 2],
}

impl Running {
    /// One that runs, with all identities enabled, and interrupts masked.
    fn new(m: &Machine, mode: Mode) -> Result<Self> {
        let (mut guest, device) = Device::of(|| {
            anywhere(
                m,
                Config {
                    ids: Some(IDS),
                    sources: SOURCES,
                    ..Config::new(2, mode)
                },
            )
        })?;
        let cpus = [m.cpu(0), m.cpu(1)];

        for (n, cpu) in cpus.into_iter().enumerate() {
            guest.boot(n, &[cpu])?;
            guest.call(n, op::IRQ_ENABLE, &[0])?;
        }
        Ok(Self {
            guest,
            device,
            cpus,
            wanted: Default::default(),
        })
    }

    fn write(&self, register: u32, value: u32) -> Result<()> {
        self.guest
            .aia()
            .set_aplic(register, value)
            .context(format!("APLIC {register:#x} = {value:#x}"))
    }

    /// Makes `source` active, with an identity of a vCPU as its target.
    fn source(&self, source: u32, mode: u32, vcpu: u32, id: u32, enable: bool) -> Result<()> {
        self.write(aplic::SOURCECFG + 4 * source, mode)?;
        self.write(aplic::TARGET + 4 * source, vcpu << 18 | id)?;
        if enable {
            self.write(aplic::SETIENUM, source)?;
        }
        Ok(())
    }

    fn wire(&self, source: u32, high: bool) -> Result<()> {
        self.guest.irq_line(source, high)
    }

    fn stop(&mut self) -> Result<()> {
        for n in 0..2 {
            self.guest.stop(n)?;
        }
        Ok(())
    }

    fn start(&mut self) -> Result<()> {
        for (n, cpu) in self.cpus.into_iter().enumerate() {
            self.guest.start(n, &[cpu])?;
            self.guest.call(n, op::NOP, &[])?;
        }
        Ok(())
    }

    fn ireg(&self, vcpu: usize, select: u32, value: u64) -> Result<()> {
        self.guest
            .call(vcpu, op::IREG_WRITE, &[select.into(), value])
            .map(drop)
    }

    /// Interrupts in flight, of every kind, and the vCPUs stopped.
    fn load(&mut self) -> Result<()> {
        // vCPU 0 has identity 9 disabled; vCPU 1 takes what is below 30.
        self.ireg(0, imsic::EIE0, !(1 | 1 << 9))?;
        self.ireg(1, imsic::EITHRESHOLD, 30)?;
        for (vcpu, id) in [(0, 5), (0, 9), (0, 62), (1, 7), (1, 33)] {
            self.guest.signal_msi(vcpu, id)?;
        }

        // Held back by IE first, then sent: an edge, a level, and an edge whose wire stays high.
        self.source(1, sm::EDGE1, 0, 20, true)?;
        self.source(2, sm::LEVEL1, 1, 21, true)?;
        self.source(37, sm::EDGE1, 0, 28, true)?;
        for (source, high) in [(1, true), (1, false), (2, true), (37, true)] {
            self.wire(source, high)?;
        }
        self.write(aplic::DOMAINCFG, aplic::IE)?;
        self.write(aplic::GENMSI, 27)?;

        // Pending, but not enabled: an edge, levels, by software.
        self.source(33, sm::EDGE1, 0, 22, false)?;
        self.source(34, sm::LEVEL1, 1, 23, false)?;
        self.source(35, sm::LEVEL0, 0, 24, false)?;
        self.source(3, sm::DETACHED, 1, 25, false)?;
        for (source, high) in [(33, true), (33, false), (34, true)] {
            self.wire(source, high)?;
        }
        self.write(aplic::SETIPNUM, 3)?;
        // A high wire that nobody looks at yet.
        self.wire(36, true)?;
        self.stop()
    }

    /// What [`Self::load`] leaves.
    fn is_loaded(&self, state: &Snapshot) -> Result<()> {
        let word = |n, field| state.u32(Snapshot::word(n) + field);

        for (what, got, wanted) in [
            ("domaincfg", state.u32(snapshot::DOMAINCFG), 0x8000_0104),
            ("genmsi", state.u32(snapshot::GENMSI), 27),
            ("pending, word 0", word(0, snapshot::PENDING), 1 << 3),
            ("pending, word 1", word(1, snapshot::PENDING), 0xe),
            ("enabled, word 0", word(0, snapshot::ENABLED), 0x6),
            ("enabled, word 1", word(1, snapshot::ENABLED), 1 << 5),
            ("wires, word 0", word(0, snapshot::WIRES), 1 << 2),
            ("wires, word 1", word(1, snapshot::WIRES), 0x34),
        ] {
            same(got, wanted, || what.into())?;
        }
        for (n, delivery, threshold, eip, eie) in [
            (0, 1, 0, bits(&[5, 9, 62, 20, 27, 28]), !(1 | 1 << 9)),
            (1, 1, 30, bits(&[7, 33, 21]), !1),
        ] {
            let at = state.vcpu(n);

            for (what, field, wanted) in [
                ("eidelivery", snapshot::EIDELIVERY, delivery),
                ("eithreshold", snapshot::EITHRESHOLD, threshold),
                ("eip", snapshot::EIP, eip),
                ("eie", snapshot::EIE, eie),
            ] {
                same(state.u64(at + field), wanted, || {
                    format!("{what} of vCPU {n}")
                })?;
            }
            same(
                self.guest.aia().imsic(n, imsic::EIP0).ok(),
                Some(eip),
                || format!("the register eip0 of vCPU {n}"),
            )?;
        }
        Ok(())
    }

    /// Another state, of which nothing may be left; the vCPUs are stopped.
    fn junk(&mut self) -> Result<()> {
        self.ireg(0, imsic::EITHRESHOLD, 3)?;
        self.ireg(1, imsic::EIE0, 0)?;
        for vcpu in 0..2 {
            for id in [40, 41, 62] {
                self.guest.signal_msi(vcpu, id)?;
            }
        }
        self.source(6, sm::EDGE1, 0, 50, true)?;
        self.source(35, sm::EDGE0, 1, 51, true)?;
        for source in [6, 35, 40] {
            self.wire(source, true)?;
        }
        self.write(aplic::GENMSI, 1 << 18 | 52)?;
        self.stop()
    }

    /// One more of each of `ids` arrives at `vcpu`, and nothing else at anybody.
    fn arrive(&mut self, vcpu: usize, ids: &[u32], when: &str) -> Result<()> {
        for &id in ids {
            *self.wanted[vcpu].entry(id).or_default() += 1;
        }
        for (n, wanted) in self.wanted.iter().enumerate() {
            let total: u32 = wanted.values().sum();

            self.guest.until(
                |g| g.total(n) >= total.into(),
                || format!("{total} interrupts of vCPU {n} {when}"),
            )?;
        }
        // One too many may still be on its way.
        sleep(Duration::from_millis(10));
        for (n, wanted) in self.wanted.iter().enumerate() {
            let counted: BTreeMap<u32, u32> = (1..=IDS)
                .map(|id| (id, self.guest.count(n, id)))
                .filter(|&(_, count)| count != 0)
                .collect();

            same(&counted, wanted, || format!("what vCPU {n} counted {when}"))?;
        }
        Ok(())
    }

    /// Goes on after [`Self::load`], with all that was in flight.
    fn go_on(&mut self) -> Result<()> {
        self.start()?;
        self.arrive(0, &[], "while all is masked")?;
        for (n, ids) in [(0, &[5, 62, 20, 27, 28][..]), (1, &[7, 21][..])] {
            self.guest.call(n, op::IRQ_ENABLE, &[1])?;
            self.arrive(n, ids, "once it is not masked")?;
        }
        self.ireg(0, imsic::EIE0, !1)?;
        self.arrive(0, &[9], "with all identities enabled")?;
        self.ireg(1, imsic::EITHRESHOLD, 0)?;
        self.arrive(1, &[33], "without a threshold")?;

        for (source, vcpu, id) in [(33, 0, 22), (34, 1, 23), (35, 0, 24), (3, 1, 25)] {
            self.write(aplic::SETIENUM, source)?;
            self.arrive(vcpu, &[id], &format!("with source {source} enabled"))?;
        }
        // The wire was raised in the other machine.
        self.source(36, sm::LEVEL1, 0, 26, true)?;
        self.arrive(0, &[26], "with source 36 active")?;
        // End of interrupt, with the wire still high, and then not.
        self.write(aplic::SETIPNUM, 2)?;
        self.arrive(1, &[21], "with the level still high")?;
        self.wire(2, false)?;
        self.write(aplic::SETIPNUM, 2)?;
        self.arrive(1, &[], "with the level low")?;
        // Raised before is no edge, lowered and raised is one.
        self.wire(37, true)?;
        self.arrive(0, &[], "without an edge")?;
        self.wire(37, false)?;
        self.wire(37, true)?;
        self.arrive(0, &[28], "with an edge")?;
        for (vcpu, id) in [(0, 5), (1, 33)] {
            self.guest.signal_msi(vcpu, id)?;
            self.arrive(vcpu, &[id], "sent to the new machine")?;
        }
        same((self.guest.empty(0), self.guest.empty(1)), (0, 0), || {
            "interrupts without an identity".into()
        })
    }
}

/// From a machine in one mode to one in another.
pub(crate) fn moved(m: &Machine, from: Mode, to: Mode) -> Result<()> {
    let mut a = Running::new(m, from)?;
    let mut b = Running::new(m, to)?;

    a.load()?;
    b.junk()?;
    let state = Snapshot::take(&a.device)?;

    a.is_loaded(&state)?;
    state.check(&a.device, "after it was read")?;
    b.device.set(&state.0).context("SET")?;
    state.check(&b.device, "in the other machine")?;
    state.check(&a.device, "in the first machine")?;
    b.go_on()?;

    // The first one still has it all, too: reading takes nothing away.
    state.check(&a.device, "in the first machine, later")?;
    a.go_on()
}

/// As [`moved`], with the APLIC and each vCPU by itself, in any order.
pub(crate) fn moved_in_parts(m: &Machine, from: Mode, to: Mode) -> Result<()> {
    let mut a = Running::new(m, from)?;
    let mut b = Running::new(m, to)?;
    let parts = [ext::imsic_state(1), ext::APLIC_STATE, ext::imsic_state(0)];

    a.load()?;
    b.junk()?;
    let whole = Snapshot::take(&a.device)?;

    a.is_loaded(&whole)?;
    for part in parts {
        let state = Snapshot::take_part(&a.device, part)?;

        b.device
            .set_part(part, &state.0)
            .context(format!("SET of {part:#x}"))?;
    }
    whole.check(&b.device, "in the other machine")?;
    whole.check(&a.device, "in the first machine")?;
    b.go_on()
}

/// A machine that has run on returns to an earlier state of its own.
pub(crate) fn back(m: &Machine) -> Result<()> {
    let mut a = Running::new(m, Mode::Auto)?;

    a.load()?;
    let state = Snapshot::take(&a.device)?;

    for _ in 0..3 {
        a.go_on()?;
        for n in 0..2 {
            a.guest.call(n, op::IRQ_ENABLE, &[0])?;
        }
        a.stop()?;
        a.device.set(&state.0).context("SET")?;
        state.check(&a.device, "after going back")?;
    }
    a.go_on()
}
