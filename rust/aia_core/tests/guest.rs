// SPDX-License-Identifier: GPL-2.0

//! Properties of what KVM needs, against models that do everything the slow way.

use std::collections::{
    BTreeMap,
    BTreeSet, //
};

use aia_core::{
    addr::PhysAddr,
    guest::{
        attribute::{
            self,
            Attribute,
            ConfigAttr,
            Part, //
        },
        binding::{
            Binding,
            Busy,
            GuestFileLocation, //
        },
        config::{
            checked_addr,
            Config,
            Limits,
            UNDEF_ADDR, //
        },
        hart_table::{
            slots_for,
            HartTable, //
            HartTableEntry,
        },
        hgei::Lines, //
    },
    ids::{
        Cpu,
        Hgei,
        NrIds,
        VcpuId,
        VcpuIndex, //
    }, //
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::select, //
};

const ATTRS: [ConfigAttr; 7] = [
    ConfigAttr::Mode,
    ConfigAttr::Ids,
    ConfigAttr::Sources,
    ConfigAttr::GroupBits,
    ConfigAttr::GroupShift,
    ConfigAttr::HartBits,
    ConfigAttr::GuestBits,
];

/// Numbers of any size: small ones, large ones, and those near a power of two.
fn numbers() -> impl Strategy<Value = u64> {
    prop_oneof![
        (any::<u64>(), 0..64_u32).prop_map(|(n, shift)| n >> shift),
        (0..64_u32, 0..3_u64).prop_map(|(n, more)| (1_u64 << n).wrapping_add(more).wrapping_sub(1)),
        (0..=u64::MAX >> 12).prop_map(|ppn| ppn << 12),
    ]
}

/// Numbers that are near a limit of a configuration, or not.
fn config_values() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..70_u64,
        (1..=33_u64, 0..3_u64).prop_map(|(words, less)| words * 64 - less),
        1020..1028_u64,
        numbers(),
    ]
}

fn any_limits() -> impl Strategy<Value = Limits> {
    (1..=32_u32, any::<bool>()).prop_map(|(words, has_guest_files)| Limits {
        max_ids: NrIds::new(words * 64 - 1).unwrap(),
        has_guest_files,
    })
}

/// Whether C's `aia_config()` accepts `value` for attribute number `attr`.
fn c_accepts(attr: usize, value: u32, limits: &Limits) -> bool {
    let c_max_ids = limits.max_ids.get() + 1;

    match attr {
        0 => value == 0 || (limits.has_guest_files && (value == 1 || value == 2)),
        1 => (63..2048).contains(&value) && value & 63 == 63 && value < c_max_ids,
        2 => value < 1024 && value < c_max_ids,
        3 => value < 8,
        4 => (24..56).contains(&value),
        5 => value < 16,
        6 => value < 8,
        _ => false,
    }
}

/// Whether C's `aia_init()` gets to the vCPUs, by the numbers in the order of [`ATTRS`].
fn c_init(numbers: [u32; 7], aplic_addr: u64) -> bool {
    let [_, ids, sources, group_bits, group_shift, hart_bits, guest_bits] = numbers;

    !(ids < sources
        || (sources != 0 && aplic_addr == UNDEF_ADDR)
        || (group_bits != 0 && group_shift < 12 + guest_bits + hart_bits))
}

/// The bits of `addr` at `position` and above, `width` of them, one by one.
fn get(addr: u64, position: u32, width: u32) -> u64 {
    (0..width)
        .filter(|bit| addr >> (position + bit) & 1 != 0)
        .map(|bit| 1 << bit)
        .sum()
}

/// Configurations that fit together, in the order of the fields of the map.
fn any_widths() -> impl Strategy<Value = (u32, u32, u32, u32)> {
    (0..8_u32, 24..56_u32, 0..16_u32, 0..8_u32)
        .prop_filter("the group index overlaps", |(group, shift, hart, guest)| {
            *group == 0 || *shift >= 12 + hart + guest
        })
}

/// Storage of a table of hart indexes.
fn free_slots(count: usize) -> Vec<HartTableEntry> {
    (0..count).map(|_| HartTableEntry::default()).collect()
}

proptest! {
    /// Any attribute is decoded without a panic, and to what it was made of.
    #[test]
    fn attributes(group in prop_oneof![0..7_u32, any::<u32>()], attr in numbers()) {
        let group = if group == 5 { attribute::GRP_EXT } else { group };
        let decoded = Attribute::decode(group, attr);
        let expect = match (group, attr) {
            (0, 0..=6) => Some((Attribute::Config(ATTRS[attr as usize]), 4)),
            (1, 0) => Some((Attribute::AplicAddr, 8)),
            (1, 1..=16384) => Some((
                Attribute::ImsicAddr(VcpuIndex::new(attr as u32 - 1).unwrap()),
                8,
            )),
            (2, 0) => Some((Attribute::Init, 0)),
            (3, _) => Some((Attribute::AplicRegister(attr), 4)),
            (4, _) => Some((
                Attribute::ImsicRegister {
                    vcpu: VcpuId::new((attr >> 12).min(0xffff_ffff) as u32),
                    isel: (attr & 0xfff) as u32,
                },
                8,
            )),
            (attribute::GRP_EXT, 0) => Some((Attribute::Config(ConfigAttr::Extensions), 4)),
            (attribute::GRP_EXT, 1) => Some((Attribute::State(Part::Machine), 24)),
            (attribute::GRP_EXT, 2) => Some((Attribute::State(Part::Aplic), 24)),
            (attribute::GRP_EXT, 0x1_0000_0000..=0x1_ffff_ffff) => {
                Some((Attribute::State(Part::Imsic(VcpuId::new(attr as u32))), 24))
            }
            _ => None,
        };

        prop_assert_eq!(decoded.map(|attr| (attr, attr.width())), expect);
    }

    /// Whatever user space sets, what is accepted and what is read back is as with C.
    #[test]
    fn configurations(
        limits in any_limits(),
        writes in vec((0..8_usize, config_values()), 0..80),
    ) {
        let mut config = Config::new(&limits);
        let mut model: [u32; 7] = ATTRS.map(|attr| config.get(attr));
        let mut aplic_addr = UNDEF_ADDR;

        for (which, value) in writes {
            let Some(&attr) = ATTRS.get(which) else {
                let accepted = value & 0xfff == 0;

                prop_assert_eq!(config.set_aplic_addr(value).is_ok(), accepted);
                prop_assert_eq!(checked_addr(value).is_ok(), accepted);
                if accepted {
                    aplic_addr = value;
                }
                continue;
            };
            let value = value as u32;
            let accepted = c_accepts(which, value, &limits);
            let result = config.set(attr, value, &limits);

            prop_assert_eq!(result.is_ok(), accepted, "{:?} {}", attr, value);
            prop_assert!(result.map_or_else(|error| error.errno() == -22, |()| true));
            if accepted {
                model[which] = value;
            }
        }

        prop_assert_eq!(ATTRS.map(|attr| config.get(attr)), model);
        prop_assert_eq!(config.check(&limits).is_ok(), c_init(model, aplic_addr));
        prop_assert_eq!(config.mode().get(), model[0]);
        prop_assert_eq!(config.nr_ids().get(), model[1]);
        prop_assert_eq!(config.nr_sources().map_or(0, u32::from), model[2]);
        prop_assert_eq!(config.aplic_addr().map_or(UNDEF_ADDR, PhysAddr::get), aplic_addr);
    }

    /// Every bit of an address is in exactly one of its parts.
    #[test]
    fn guest_map(widths in any_widths(), addr in any::<u64>()) {
        let (group_bits, shift, hart_bits, guest_bits) = widths;
        let host = Limits { max_ids: NrIds::MAX, has_guest_files: false };
        let mut config = Config::new(&host);
        for (attr, value) in [
            (ConfigAttr::GroupBits, group_bits),
            (ConfigAttr::GroupShift, shift),
            (ConfigAttr::HartBits, hart_bits),
            (ConfigAttr::GuestBits, guest_bits),
        ] {
            prop_assert_eq!(config.set(attr, value, &host), Ok(()));
        }
        let map = config.check(&host).unwrap();

        let hart = get(addr, 12 + guest_bits, hart_bits);
        let group = get(addr, shift, group_bits);
        let is_index = |bit: u32| bit < 12 + guest_bits + hart_bits
            || (shift..shift + group_bits).contains(&bit);
        let base: u64 = (12..64)
            .filter(|&bit| !is_index(bit) && addr >> bit & 1 != 0)
            .map(|bit| 1 << (bit - 12))
            .sum();
        let addr = PhysAddr::new(addr);
        let target = map.decode(addr);

        prop_assert_eq!(u64::from(map.hart_index(addr)), group << hart_bits | hart);
        prop_assert_eq!(map.base_ppn(addr), base);
        prop_assert_eq!(u64::from(target.offset), get(addr.get(), 0, 12));
        prop_assert_eq!(u64::from(target.guest), get(addr.get(), 12, guest_bits));
        // C: no file's address has a guest index.
        prop_assert_eq!(
            target.page.ppn(),
            addr.ppn() >> guest_bits << guest_bits
        );
        // What is looked up is the page, what was entered are the files' addresses.
        prop_assert_eq!(map.hart_index(target.page), map.hart_index(addr));
        prop_assert_eq!(map.base_ppn(target.page), map.base_ppn(addr));
        prop_assert_eq!(map.decode(target.page).page, target.page);
    }

    /// A table finds who a search through all vCPUs finds first.
    #[test]
    fn hart_table(
        // Small numbers collide by themselves, multiples and others by their hash.
        harts in vec((0..300_u32, select(vec![1, 1 << 8, 1 << 15, 0x9e37_79b9_u32])), 0..300)
            .prop_map(|all| all.into_iter().map(|(n, by)| n.wrapping_mul(by)).collect::<Vec<_>>()),
        others in vec(any::<u32>(), 50),
        exact in any::<bool>(),
    ) {
        let pairs = || {
            harts
                .iter()
                .enumerate()
                .map(|(n, &hart)| (hart, VcpuIndex::try_from(n).unwrap()))
        };
        let slots = slots_for(harts.len()).unwrap();
        let table = HartTable::new(free_slots(if exact { slots } else { slots * 4 })).unwrap();

        for (hart, vcpu) in pairs() {
            table.insert(hart, vcpu).unwrap();
        }

        for &hart in harts.iter().chain(&others) {
            let first = pairs().find(|&(other, _)| other == hart).map(|(_, vcpu)| vcpu);

            prop_assert_eq!(table.get(hart), first);
        }
    }

    /// A vCPU is refused exactly if less than half of the storage would be free.
    #[test]
    fn hart_table_storage(
        harts in vec(0..40_u32, 0..40),
        size in 0..100_usize,
    ) {
        let different = harts.iter().collect::<BTreeSet<_>>().len();
        let table = HartTable::new(free_slots(size));

        prop_assert_eq!(table.is_some(), size.is_power_of_two());
        if let Some(table) = table {
            let fits = harts.iter().all(|&hart| table.insert(hart, VcpuIndex::ZERO).is_ok());

            prop_assert_eq!(fits, different <= size / 2);
        }
    }

    /// Lines against a map: nobody loses a line or gets another's.
    #[test]
    fn lines(steps in vec((0..5_u8, 0..70_u32, any::<u64>()), 0..200)) {
        let mut lines = Lines::new();
        let mut owners = BTreeMap::<Hgei, usize>::new();
        let mut settled = 0;
        let mut count = 0;

        for (number, (step, n, mask)) in steps.into_iter().enumerate() {
            match step {
                0 => {
                    lines.set_count(n);
                    settled = 0;
                    count = n.min(63);
                    prop_assert_eq!(lines.count(), count);
                }
                1 => {
                    if let Some(line) = Hgei::new(n) {
                        let is_settled = mask & 1 != 0;
                        let owner = owners.remove(&line);

                        prop_assert_eq!(lines.free(line, is_settled), owner);
                        if owner.is_some() {
                            settled &= !line.bit();
                            settled |= u64::from(is_settled) << line.get();
                        }
                    }
                }
                2 => {
                    let expect: Vec<_> = owners
                        .iter()
                        .filter(|(line, _)| mask & line.bit() != 0)
                        .map(|(&line, &who)| (line, who))
                        .collect();

                    prop_assert_eq!(lines.owners(mask).collect::<Vec<_>>(), expect);
                }
                _ => {
                    let free = (1..=count)
                        .filter_map(Hgei::new)
                        .find(|line| !owners.contains_key(line));

                    prop_assert_eq!(lines.alloc(number, 0), free);
                    if let Some(line) = free {
                        owners.insert(line, number);
                    }
                }
            }
            let used = owners.keys().map(|line| line.bit()).sum::<u64>();
            prop_assert_eq!(lines.owners(!0).map(|(line, _)| line.bit()).sum::<u64>(), used);
            let mut lines_left = (1..=count).filter_map(Hgei::new);
            let is_left = lines_left.any(|line| !owners.contains_key(&line));
            prop_assert_eq!(lines.has_free(), is_left);
            if let Some(line) = Hgei::new(n) {
                prop_assert_eq!(lines.owner(line), owners.get(&line).copied());
                prop_assert_eq!(lines.is_settled(line), settled & line.bit() != 0);
            }
        }
    }

    /// In any order of calls, a file is in one place: in the binding or with one holder.
    #[test]
    fn binding(steps in vec((0..6_u8, 0..3_u32), 0..100)) {
        let mut binding = Binding::Software;
        let mut inside = None;
        // Who began something that has an end.
        let (mut moving, mut releasing) = (None, None);

        for (number, (step, cpu)) in steps.into_iter().enumerate() {
            let busy = moving.is_some() || releasing.is_some();

            match step {
                0 => match binding.begin_move() {
                    Err(Busy) => prop_assert!(busy),
                    Ok((begun, old)) => {
                        prop_assert!(!busy);
                        prop_assert_eq!(old, inside.take());
                        moving = Some(begun);
                    }
                },
                1 => {
                    if let Some(begun) = moving.take() {
                        let new = TestFile { cpu, number };

                        binding.finish_move(begun, new);
                        inside = Some(new);
                    }
                }
                2 | 3 => {
                    let on = (step == 2).then_some(Cpu::new(cpu));
                    let expect = match inside {
                        _ if busy => Err(Busy),
                        Some(file) if step == 3 || file.cpu == cpu => Ok(inside.take()),
                        _ => Ok(None),
                    };
                    let (begun, file) = match binding.begin_release(on) {
                        Ok(Some((begun, file))) => (Some(begun), Ok(Some(file))),
                        Ok(None) => (None, Ok(None)),
                        Err(Busy) => (None, Err(Busy)),
                    };

                    prop_assert_eq!(file, expect);
                    releasing = begun.or(releasing);
                }
                4 => {
                    if let Some(begun) = releasing.take() {
                        binding.finish_release(begun);
                    }
                }
                _ => {
                    let expect = if busy { Err(Busy) } else { Ok(inside.take()) };

                    prop_assert_eq!(binding.destroy(), expect);
                }
            }
            prop_assert_eq!(binding.file(), inside.as_ref());
            prop_assert_eq!(binding.delivers_to(), inside.as_ref());
        }
    }
}

/// A file that can be told from every other one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct TestFile {
    cpu: u32,
    number: usize,
}

impl GuestFileLocation for TestFile {
    fn cpu(&self) -> Cpu {
        Cpu::new(self.cpu)
    }

    fn hgei(&self) -> Hgei {
        Hgei::MIN
    }
}
