// SPDX-License-Identifier: GPL-2.0

//! `/sys/kernel/debug/irq`: what irq core and drivers tell about an interrupt
//! or a domain.

use crate::{
    cpu,
    ensure,
    pause,
    read,
    wait_until,
    write,
    Result,
    PATIENCE, //
};
use std::{
    collections::BTreeMap,
    fs, //
};

const BASE: &str = "/sys/kernel/debug/irq";

/// One level of the hierarchy of an interrupt, outermost (the device) first.
#[derive(Clone, Debug, Default)]
pub struct Level {
    /// Everything of the form `key: value`, as text.
    pub fields: BTreeMap<String, String>,
    /// Words alone on a line: flags.
    pub flags: Vec<String>,
}

impl Level {
    /// A field as text, empty if not there.
    pub fn text(&self, key: &str) -> &str {
        self.fields.get(key).map_or("", String::as_str)
    }

    /// A field as a number, decimal or 0x.
    pub fn number(&self, key: &str) -> Option<u64> {
        number(self.fields.get(key)?)
    }
}

/// An interrupt as debugfs shows it.
#[derive(Clone, Debug, Default)]
pub struct Irq {
    /// Fields of the descriptor, before the first level.
    pub desc: Level,
    /// The levels of the hierarchy, the device's first.
    pub levels: Vec<Level>,
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

impl Irq {
    fn parse(text: &str) -> Self {
        let mut irq = Self::default();

        for line in text.lines() {
            let line = line.trim();
            let field = line.split_once(':');

            // The name of a domain may have colons in it, a key has none.
            match field {
                Some(("domain", _)) => irq.levels.push(Level::default()),
                Some(("parent", "")) => continue,
                _ => (),
            }
            let level = irq.levels.last_mut().unwrap_or(&mut irq.desc);

            match field {
                Some((key, value)) => {
                    level.fields.insert(key.trim().into(), value.trim().into());
                }
                None if !line.is_empty() => level.flags.push(line.into()),
                None => (),
            }
        }
        irq
    }

    /// What debugfs shows about an interrupt.
    pub fn read(irq: u32) -> Result<Self> {
        Ok(Self::parse(&read(&format!("{BASE}/irqs/{irq}"))?))
    }

    /// The level whose chip has this name at the start of its own.
    pub fn chip(&self, name: &str) -> Option<&Level> {
        self.levels
            .iter()
            .find(|l| l.text("chip").starts_with(name))
    }

    /// The IMSIC's level.
    pub fn imsic(&self) -> Option<&Level> {
        self.chip("IMSIC")
    }

    /// CPU and ID that the IMSIC driver has given to the interrupt.
    pub fn target(&self) -> Option<(usize, u32)> {
        let level = self.imsic()?;

        Some((
            level.number("target_cpu")? as usize,
            level.number("target_local_id")? as u32,
        ))
    }

    /// Whether the IMSIC driver has a move in flight.
    pub fn moving(&self) -> bool {
        self.imsic()
            .is_some_and(|l| l.number("is_move_pending") == Some(1))
    }

    /// The CPUs of the effective affinity.
    pub fn effective(&self) -> Vec<usize> {
        if !cpu::is_smp() {
            return vec![0];
        }
        cpu::parse_list(self.desc.text("effectiv"))
    }

    /// Whether a state flag of the descriptor is set.
    pub fn has(&self, flag: &str) -> bool {
        self.desc.flags.iter().any(|f| f == flag)
    }
}

/// Waits until the IMSIC driver has no move in flight for the interrupt.
pub fn settle(irq: u32) -> Result {
    let settled = wait_until(PATIENCE, || Irq::read(irq).is_ok_and(|i| !i.moving()));

    ensure(settled, || format!("irq {irq} is still moving"))
}

/// Waits until all that was sent to the interrupt so far has been taken: whatever a move
/// carries to another CPU is there when the move is over.
pub fn flush(irq: u32) -> Result {
    settle(irq)?;
    cpu::flush()
}

/// All that debugfs shows about an interrupt.
pub fn show(irq: u32) -> Result<String> {
    read(&format!("{BASE}/irqs/{irq}"))
}

/// The numbers of all interrupts.
pub fn irqs() -> Vec<u32> {
    let mut irqs: Vec<u32> = names("irqs")
        .iter()
        .filter_map(|n| n.parse().ok())
        .collect();

    irqs.sort_unstable();
    irqs
}

fn names(dir: &str) -> Vec<String> {
    fs::read_dir(format!("{BASE}/{dir}")).map_or_else(
        |_| Vec::new(),
        |entries| {
            entries
                .filter_map(|e| e.ok()?.file_name().into_string().ok())
                .collect()
        },
    )
}

/// The names of all domains.
pub fn domains() -> Vec<String> {
    names("domains")
}

/// What debugfs shows about a domain.
pub fn domain(name: &str) -> Result<String> {
    read(&format!("{BASE}/domains/{name}"))
}

/// How full the interrupt files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupancy {
    /// IDs free on the CPUs that are online.
    pub available: u64,
    /// IDs in use.
    pub allocated: u64,
}

/// The occupancy of the IMSIC's domain at rest: as many IDs are in use as there are interrupts.
///
/// More are as long as a move is in flight, a hart has not looked at an ID that was freed,
/// or an MSI to it can still be on its way. What there is when that does not end.
pub fn occupancy() -> Result<Occupancy> {
    let mut now = occupancy_now()?;

    wait_until(PATIENCE, || {
        let owned = irqs().into_iter().filter(|n| has_id(*n)).count();

        occupancy_now().is_ok_and(|o| {
            now = o;
            now.allocated == owned as u64
        })
    });
    Ok(now)
}

fn has_id(irq: u32) -> bool {
    Irq::read(irq).is_ok_and(|i| i.target().is_some())
}

/// Waits until the occupancy is `base` again, and looks once more for what came back twice.
pub fn occupancy_is(base: &Result<Occupancy>) -> Result {
    let base = base.as_ref().map_err(|e| e.clone())?;
    let mut now = occupancy_now()?;

    wait_until(PATIENCE, || {
        occupancy_now().is_ok_and(|o| {
            now = o;
            now == *base
        })
    });
    if now == *base {
        cpu::flush()?;
        pause(20);
        now = occupancy_now()?;
    }
    ensure(now == *base, || format!("IDs: {now:?}, before: {base:?}"))
}

/// What the IMSIC's domain shows: the one that is its own MSI parent.
fn imsic_domain() -> Result<String> {
    for name in domains() {
        let text = domain(&name)?;

        if !text.contains("\n parent:") && text.contains("IRQ_DOMAIN_FLAG_MSI_PARENT") {
            return Ok(text);
        }
    }
    Err("no domain that is an MSI parent".into())
}

/// How many IDs of each CPU are for interrupts; the driver keeps the others.
pub fn usable(ids: u64) -> Result<u64> {
    let text = imsic_domain()?;
    // As for irq_matrix: how many are the system's, 0 with them, and which.
    let system: u64 = text
        .lines()
        .find_map(|l| {
            l.trim()
                .strip_prefix("System:")?
                .split(':')
                .next()?
                .trim()
                .parse()
                .ok()
        })
        .ok_or("the domain does not tell what is the system's")?;

    Ok(ids + 1 - system)
}

/// What a driver shows of what has happened since boot: `moves`, `duplicates`, `forwarded`,
/// `dropped`.
pub fn counter(name: &str) -> Result<u64> {
    imsic_domain()?
        .lines()
        .find_map(|line| {
            let (key, value) = line.split_once(':')?;

            (key.trim() == name).then(|| value.trim().parse().ok())?
        })
        .ok_or_else(|| format!("the domain does not tell {name:?}"))
}

fn occupancy_now() -> Result<Occupancy> {
    let text = imsic_domain()?;
    let field = |key: &str| {
        text.lines()
            .find_map(|l| l.trim().strip_prefix(key)?.trim().parse().ok())
            .ok_or_else(|| format!("the domain does not tell {key:?}"))
    };

    Ok(Occupancy {
        available: field("Global available:")?,
        allocated: field("Total allocated:")?,
    })
}

/// Raises an interrupt through irq core's injection.
pub fn trigger(irq: u32) -> Result {
    write(&format!("{BASE}/irqs/{irq}"), "trigger")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "handler:  handle_edge_irq
device:   0000:00:01.0
dstate:   0x00400200
            IRQD_ACTIVATED
effectiv: 1
pending:
domain:  PCI-MSIX-0000:00:01.0-11
 hwirq:   0x0
 chip:    PCI-MSIX-0000:00:01.0
  flags:   0x1020
             IRQCHIP_MOVE_DEFERRED

  address_lo: 0x28004000
 parent:
    domain:  :soc:interrupt-controller@28000000-5
     chip:    IMSIC
     target_cpu      :     1
     target_local_id :     2
     is_move_pending :     0
";

    #[test]
    fn levels() {
        let irq = Irq::parse(TEXT);

        assert_eq!(irq.levels.len(), 2);
        assert_eq!(irq.target(), Some((1, 2)));
        assert!(!irq.moving());
        assert!(irq.has("IRQD_ACTIVATED"));
        assert_eq!(irq.effective(), [1]);
        assert_eq!(irq.levels[0].number("address_lo"), Some(0x2800_4000));
        assert_eq!(irq.levels[0].flags, ["IRQCHIP_MOVE_DEFERRED"]);
        assert!(irq.levels[1]
            .text("domain")
            .starts_with(":soc:interrupt-controller@28000000"));
    }
}
