// SPDX-License-Identifier: GPL-2.0

//! What firmware and user space say: address schemes, regions, the addresses that an APLIC computes,
//! the configuration of a virtual machine and its attributes.
//!
//! The model takes addresses apart bit by bit, each of which belongs to one field or to the base
//! (AIA 3.6, 4.9.1), and sums in 128 bits. What is refused has to be refused for a reason that the model
//! knows, too.

use crate::input::Input;
use aia_core::{
    addr::{
        AddressSpace,
        Guest,
        Host,
        PhysAddr, //
    },
    aplic::{
        hart_numbers::HartNumbers,
        msi_addr::{
            MsiAddrConfig,
            MsiAddrError,
            TargetError, //
        },
        target::MsiTarget, //
    },
    geometry::{
        default_hart_index_bits,
        Geometry,
        GeometryError,
        GeometryParams, //
    },
    guest::{
        address_map::GuestMap,
        attribute::{
            self,
            Attribute,
            ConfigAttr,
            Part, //
        },
        config::{
            Config,
            ConfigError,
            Limits, //
        },
        hart_table::{
            slots_for,
            HartTable,
            HartTableEntry, //
        },
    },
    ids::{
        Eiid,
        GuestIndex,
        HartIndex,
        NrIds,
        VcpuId,
        VcpuIndex, //
    },
    regions::{
        FileMap,
        Region,
        RegionsError, //
    },
};

/// Whose a bit of an address is, and which bit of that.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bit {
    Base,
    Page,
    Guest(u32),
    Hart(u32),
    Group(u32),
}

/// An address scheme.
struct Scheme {
    bits: [Bit; 64],
    file: u64,
    /// Fields that have the same bit, or one that there is not.
    overlap: bool,
    beyond: bool,
}

impl Scheme {
    fn new(guest: u32, hart: u32, group: u32, shift: u32, file: u64) -> Self {
        let mut scheme = Self {
            bits: [Bit::Base; 64],
            file,
            overlap: false,
            beyond: false,
        };
        let mut put = |at: u64, bit: Bit| match scheme.bits.get_mut(at as usize) {
            None => scheme.beyond = true,
            Some(place) if *place == Bit::Base => *place = bit,
            Some(_) => scheme.overlap = true,
        };

        (0..12).for_each(|n| put(n, Bit::Page));
        (0..guest).for_each(|n| put(12 + u64::from(n), Bit::Guest(n)));
        (0..hart).for_each(|n| put(12 + u64::from(guest) + u64::from(n), Bit::Hart(n)));
        (0..group).for_each(|n| put(u64::from(shift) + u64::from(n), Bit::Group(n)));
        scheme
    }

    /// The bits of the base.
    fn base(&self, addr: u64) -> u64 {
        (0..64)
            .filter(|n| self.bits[*n] == Bit::Base && addr >> n & 1 != 0)
            .fold(0, |base, n| base | 1 << n)
    }

    fn matches(&self, addr: u64) -> bool {
        self.base(addr) == self.base(self.file)
    }

    /// The group, the hart and the guest of any address.
    fn indexes(&self, addr: u64) -> (u32, u32, u32) {
        let (mut group, mut hart, mut guest) = (0, 0, 0);

        for (at, bit) in self.bits.iter().enumerate() {
            let is_set = (addr >> at & 1) as u32;

            match bit {
                Bit::Group(n) => group |= is_set << n,
                Bit::Hart(n) => hart |= is_set << n,
                Bit::Guest(n) => guest |= is_set << n,
                _ => {}
            }
        }
        (group, hart, guest)
    }
}

/// A width or position: often one that is in range.
fn small(input: &mut Input<'_>, most: u32) -> u32 {
    match input.u8() {
        n @ 0..=247 => u32::from(n) % (most + 2),
        _ => input.u32(),
    }
}

/// An address: often one near `file`.
fn near(input: &mut Input<'_>, file: u64) -> u64 {
    let addr = match input.below(4) {
        0 => input.u64(),
        1 => file ^ input.mask(),
        2 => file ^ input.mask() ^ input.mask(),
        _ => file.wrapping_add(u64::from(input.u16()) << 12),
    };

    match input.below(4) {
        0 => addr,
        _ => addr & !0xfff,
    }
}

/// An address scheme of a space; what is refused is checked.
fn scheme<AS: AddressSpace>(input: &mut Input<'_>) -> Option<(Scheme, Geometry<AS>)> {
    let params = GeometryParams::<AS> {
        guest_index_bits: small(input, AS::MAX_GUEST_INDEX_BITS),
        hart_index_bits: small(input, AS::MAX_HART_INDEX_BITS),
        group_index_bits: small(input, AS::MAX_GROUP_INDEX_BITS),
        group_index_shift: small(input, AS::MAX_GROUP_INDEX_SHIFT + 8),
        file: PhysAddr::new(match input.below(8) {
            0 => input.u64(),
            1 => input.u64() & !0xfff,
            _ => u64::from(input.u32()) << 12,
        }),
    };
    let GeometryParams {
        guest_index_bits: guest,
        hart_index_bits: hart,
        group_index_bits: group,
        group_index_shift: shift,
        file,
    } = params;
    // Fields that are too wide are refused before anything is done with them.
    let scheme = Scheme::new(
        guest.min(64),
        hart.min(64),
        group.min(64),
        shift,
        file.get(),
    );
    let mut faults = Vec::new();

    for (fault, bad) in [
        (
            GeometryError::GuestIndexBits,
            guest > AS::MAX_GUEST_INDEX_BITS,
        ),
        (GeometryError::HartIndexBits, hart > AS::MAX_HART_INDEX_BITS),
        (
            GeometryError::GroupIndexBits,
            group > AS::MAX_GROUP_INDEX_BITS,
        ),
        (
            GeometryError::GroupIndexShift,
            group > 0 && (shift > AS::MAX_GROUP_INDEX_SHIFT || scheme.beyond),
        ),
        (GeometryError::GroupIndexOverlap, scheme.overlap),
        (GeometryError::Unaligned, file.get() % 4096 != 0),
    ] {
        if bad {
            faults.push(fault);
        }
    }
    match Geometry::new(params) {
        Err(error) => {
            assert!(faults.contains(&error), "{error:?}, of {faults:?}");
            None
        }
        Ok(geometry) => {
            assert_eq!(faults, []);
            Some((scheme, geometry))
        }
    }
}

/// What an address means.
fn locate<AS: AddressSpace>(input: &mut Input<'_>, scheme: &Scheme, geometry: &Geometry<AS>) {
    let addr = near(input, scheme.file);
    let (group, hart, guest) = scheme.indexes(addr);
    let found = geometry.addr_to_location(PhysAddr::new(addr));
    let matches = scheme.matches(addr);
    let exists = matches && group <= 255 && hart <= 16383 && guest <= 63;

    assert_eq!(geometry.base().get(), scheme.base(scheme.file));
    assert_eq!(geometry.matches(PhysAddr::new(addr)), matches);
    assert_eq!(
        found.map(|at| (at.group.get(), at.hart.get(), at.guest.get())),
        exists.then_some((group, hart, guest))
    );
}

/// The regions that the files are in.
fn regions<AS: AddressSpace>(input: &mut Input<'_>, scheme: &Scheme, geometry: &Geometry<AS>) {
    let guest_bits = geometry.guest_index_bits();
    let stride = 1_u128 << (12 + guest_bits);
    let list: Vec<_> = (0..input.below(5))
        .map(|_| {
            let start = near(input, scheme.file);
            let size = match input.below(8) {
                0 => input.u64(),
                1 => u64::from(input.u16()),
                2 => u64::MAX - u64::from(input.u16()),
                _ => u64::from(input.u8()) << 12,
            };
            let start = match input.below(4) {
                0 => start,
                _ => start & !(stride as u64 - 1),
            };

            Region::<AS>::new(PhysAddr::new(start), size)
        })
        .collect();
    // The first one that is wrong, and how.
    let end = |region: &Region<AS>| u128::from(region.start.get()) + u128::from(region.size);
    let overlap = |a: &Region<AS>, b: &Region<AS>| {
        u128::from(a.start.get()) < end(b) && u128::from(b.start.get()) < end(a)
    };
    let faults = list.iter().enumerate().map(|(index, region)| {
        let mut faults = Vec::new();
        let start = region.start.get();

        if region.size < 4096 {
            faults.push(RegionsError::TooSmall { index });
        }
        if region.size % 4096 != 0 {
            faults.push(RegionsError::PartialPage { index });
        }
        if u128::from(start) % stride != 0 {
            faults.push(RegionsError::Unaligned { index });
        }
        if end(region) > 1 << 64 {
            faults.push(RegionsError::Wraps { index });
        }
        if !scheme.matches(start) {
            faults.push(RegionsError::BaseMismatch { index });
        }
        for (other, earlier) in list[..index].iter().enumerate() {
            if overlap(earlier, region) {
                faults.push(RegionsError::Overlap { index, other });
            }
        }
        faults
    });
    let faults = match list.is_empty() {
        true => vec![RegionsError::Empty],
        false => faults
            .into_iter()
            .find(|f| !f.is_empty())
            .unwrap_or_default(),
    };
    let map = match FileMap::new(geometry, &list) {
        Err(error) => {
            assert!(faults.contains(&error), "{error:?}, of {faults:?}");
            return;
        }
        Ok(map) => map,
    };
    assert_eq!(faults, []);

    let mut places = map.places();
    let mut slots = 0;
    let mut left = 300;
    for (number, region) in list.iter().enumerate() {
        let slots_here = u128::from(region.size).div_ceil(stride);

        slots += slots_here;
        for slot in 0..slots_here {
            if left == 0 {
                break;
            }
            left -= 1;
            let offset = slot * stride;
            let addr = region.start.get() + offset as u64;
            let pages = (u128::from(region.size) - offset) / 4096;
            let place = places.next().expect("a place is missing");
            let (group, hart, guest) = scheme.indexes(addr);

            assert_eq!((place.region, u128::from(place.offset)), (number, offset));
            assert_eq!(place.addr.get(), addr);
            assert_eq!(
                u128::from(place.guest_files),
                (pages - 1).min((1 << guest_bits) - 1).min(63)
            );
            assert_eq!(
                place
                    .location
                    .map(|at| (at.group.get(), at.hart.get(), at.guest.get())),
                (scheme.matches(addr) && hart <= 16383 && guest <= 63 && group <= 255)
                    .then_some((group, hart, guest))
            );
            if slot == 0 {
                assert_eq!(map.first_place(number), Some(place));
            }
        }
    }
    assert!(left == 0 || places.next().is_none());
    assert_eq!(
        u128::from(map.slots()),
        slots.min(u128::from(u64::MAX)),
        "slots"
    );
}

/// The addresses that an APLIC computes (AIA 4.5.3, 4.9.1).
fn msi_addr(input: &mut Input<'_>, scheme: &Scheme, geometry: &Geometry<Host>) {
    let (lhxs, lhxw) = (geometry.guest_index_bits(), geometry.hart_index_bits());
    let (hhxw, shift) = (geometry.group_index_bits(), geometry.group_index_shift());
    let base = scheme.base(scheme.file) >> 12;
    let faults: Vec<_> = [
        (MsiAddrError::Lhxs, lhxs > 7),
        (MsiAddrError::Lhxw, lhxw > 15),
        (MsiAddrError::Hhxw, hhxw > 7),
        (
            MsiAddrError::Hhxs,
            hhxw > 0 && !(24..24 + 32).contains(&shift),
        ),
        (MsiAddrError::BasePpn, base >> 44 != 0),
    ]
    .into_iter()
    .filter_map(|(fault, bad)| bad.then_some(fault))
    .collect();
    let config = match MsiAddrConfig::new(geometry) {
        Err(error) => {
            assert!(faults.contains(&error), "{error:?}, of {faults:?}");
            return;
        }
        Ok(config) => config,
    };
    assert_eq!(faults, []);

    let hhxs = if hhxw == 0 { 0 } else { shift - 24 };
    let high = (base >> 32) as u32 + (lhxw << 12) + (hhxw << 16) + (lhxs << 20) + (hhxs << 24);
    assert_eq!(
        (config.mmsiaddrcfg(), config.mmsiaddrcfgh()),
        (base as u32, high)
    );

    // The formula of the specification.
    let formula = |hart: u32, guest: u32| {
        let hart = u128::from(hart);
        let g = (hart >> lhxw) & ((1 << hhxw) - 1);
        let h = hart & ((1 << lhxw) - 1);

        (u128::from(base) | g << (hhxs + 12) | h << lhxs | u128::from(guest)) << 12
    };
    let eiid = Eiid::new(1 + input.below(2047)).unwrap();
    let target = MsiTarget {
        hart: HartIndex::new(input.below(16384)).unwrap(),
        guest: GuestIndex::new(input.below(64)).unwrap(),
        eiid,
    };
    assert_eq!(
        u128::from(config.addr_of(target).get()),
        formula(target.hart.get(), target.guest.get())
    );

    let addr = near(input, scheme.file);
    let (group, hart, guest) = scheme.indexes(addr);
    let index = u64::from(group) << lhxw | u64::from(hart);
    match config.target_for(PhysAddr::new(addr), eiid) {
        Ok(target) => {
            assert_eq!(u64::from(target.hart.get()), index);
            assert_eq!((target.guest.get(), target.eiid), (guest, eiid));
            assert_eq!(
                formula(target.hart.get(), target.guest.get()),
                u128::from(addr)
            );
        }
        Err(TargetError::Unaligned) => assert_ne!(addr % 4096, 0),
        Err(TargetError::BaseMismatch) => assert!(!scheme.matches(addr)),
        Err(TargetError::HartIndex) => assert!(index > 16383),
        Err(TargetError::GuestIndex) => assert!(guest > 63),
    }
    let (low, high_read) = match input.below(4) {
        0 => (0, input.u32() & 1 << 31),
        1 => (base as u32, high | input.u32() & 1 << 31),
        2 => (base as u32, high ^ input.word()),
        _ => (input.word(), input.word()),
    };
    let shown = high_read & 0x7fff_ffff;
    assert_eq!(
        config.is_programmed(low, high_read),
        (low, shown) == (0, 0) || (low, shown) == (base as u32, high)
    );
}

/// A number of a virtual machine's configuration, as `kvm.h` has them.
const ATTRS: [ConfigAttr; 8] = [
    ConfigAttr::Mode,
    ConfigAttr::Ids,
    ConfigAttr::Sources,
    ConfigAttr::GroupBits,
    ConfigAttr::GroupShift,
    ConfigAttr::HartBits,
    ConfigAttr::GuestBits,
    ConfigAttr::Extensions,
];

/// The values of [`ATTRS`].
struct Values {
    values: [u32; 8],
    max_ids: u32,
    files: bool,
    aplic: bool,
}

impl Values {
    /// `EXT_AUTO_ANYWHERE` and `EXT_EMUL_IDS`.
    fn may(&self, mode: u32, extensions: u32) -> bool {
        self.files || mode == 0 || mode == 2 && extensions & 1 != 0
    }

    fn most(&self) -> u32 {
        match self.values[0] == 0 && self.values[7] & 2 != 0 {
            true => 2047,
            false => self.max_ids,
        }
    }

    /// Why a value is refused.
    fn set(&mut self, attr: usize, value: u32) -> Option<ConfigError> {
        let [mode, ids, sources, ..] = self.values;
        let refused = match attr {
            0 if value > 2 => Some(ConfigError::Mode),
            0 if !self.may(value, self.values[7]) => Some(ConfigError::NoGuestFiles),
            1 if value % 64 != 63 || value > self.most() => Some(ConfigError::Ids),
            2 if value > 1023 || value > self.most() => Some(ConfigError::Sources),
            3 if value > 7 => Some(ConfigError::GroupBits),
            4 if !(24..=55).contains(&value) => Some(ConfigError::GroupShift),
            5 if value > 15 => Some(ConfigError::HartBits),
            6 if value > 7 => Some(ConfigError::GuestBits),
            7 => {
                let lost = self.values[7] & !value;
                let in_use = lost & 1 != 0 && !self.may(mode, value)
                    || lost & 2 != 0 && (ids > self.max_ids || sources > self.max_ids);

                (value > 7 || in_use).then_some(ConfigError::Extensions)
            }
            _ => None,
        };

        if refused.is_none() {
            self.values[attr] = value;
        }
        refused
    }

    /// All that is wrong with it as a whole.
    fn faults(&self) -> Vec<ConfigError> {
        let [_, ids, sources, group, shift, hart, guest, _] = self.values;

        [
            (ConfigError::Ids, ids > self.most()),
            (ConfigError::MoreSourcesThanIds, sources > ids),
            (ConfigError::NoAplicAddr, sources > 0 && !self.aplic),
            (
                ConfigError::GroupOverlap,
                Scheme::new(guest, hart, group, shift, 0).overlap,
            ),
        ]
        .into_iter()
        .filter_map(|(fault, bad)| bad.then_some(fault))
        .collect()
    }
}

/// Where a guest's MSIs go.
fn guest_map(input: &mut Input<'_>, map: &GuestMap, values: &Values) {
    let [.., group, shift, hart, guest, _] = values.values;
    let scheme = Scheme::new(guest, hart, group, shift, 0);
    let file = input.u64();
    let addr = near(input, file);
    let (group, hart_index, guest_index) = scheme.indexes(addr);
    let of = PhysAddr::<Guest>::new(addr);
    let target = map.decode(of);

    assert_eq!(map.hart_index(of), group << hart | hart_index);
    assert_eq!(map.base_ppn(of), scheme.base(addr) >> 12);
    assert_eq!(target.guest, guest_index);
    assert_eq!(u64::from(target.offset), addr % 4096);
    assert_eq!(
        target.page.get(),
        addr - addr % (1 << (12 + guest)),
        "{addr:#x}"
    );
}

/// Sequences of attributes.
fn config(input: &mut Input<'_>) {
    let files = input.flag();
    let max_ids = [63, 127, 255, 2047][input.below(4) as usize];
    let limits = Limits {
        max_ids: NrIds::new(max_ids).unwrap(),
        has_guest_files: files,
    };
    let mut config = Config::new(&limits);
    let mut values = Values {
        values: [if files { 2 } else { 0 }, max_ids, 0, 0, 24, 0, 0, 0],
        max_ids,
        files,
        aplic: false,
    };

    while !input.is_empty() {
        let attr = input.below(9) as usize;
        if attr == 8 {
            let addr = near(input, 0xd00_0000);
            let set = config.set_aplic_addr(addr);

            assert_eq!(set.is_ok(), addr % 4096 == 0);
            values.aplic |= set.is_ok();
            if set.is_ok() {
                assert_eq!(config.aplic_addr().map(PhysAddr::get), Some(addr));
            }
        } else {
            let value = match (attr, input.below(4)) {
                (_, 0) => input.word(),
                (1, _) => 64 * input.below(33) + 63,
                (2, _) => input.below(1030),
                (4, _) => 20 + input.below(40),
                _ => input.below(18),
            };

            assert_eq!(
                config.set(ATTRS[attr], value, &limits).err(),
                values.set(attr, value),
                "{attr}: {value}"
            );
        }
        for (attr, value) in ATTRS.iter().zip(values.values) {
            assert_eq!(config.get(*attr), value, "{attr:?}");
        }
        let faults = values.faults();
        match config.check(&limits) {
            Err(error) => assert!(faults.contains(&error), "{error:?}, of {faults:?}"),
            Ok(map) => {
                assert_eq!(faults, []);
                guest_map(input, &map, &values);
            }
        }
    }
}

/// The names of attributes.
fn attributes(input: &mut Input<'_>) {
    while !input.is_empty() {
        let group = match small(input, 6) {
            5 => attribute::GRP_EXT,
            group => group,
        };
        let attr = match input.below(4) {
            0 => input.u64(),
            1 => input.u16().into(),
            2 => input.mask(),
            _ => input.u8().into(),
        };
        let expected = match (group, attr) {
            (0, 0..=6) => Some(Attribute::Config(ATTRS[attr as usize])),
            (1, 0) => Some(Attribute::AplicAddr),
            (1, 1..=16384) => VcpuIndex::new(attr as u32 - 1).map(Attribute::ImsicAddr),
            (2, 0) => Some(Attribute::Init),
            (3, _) => Some(Attribute::AplicRegister(attr)),
            (4, _) => Some(Attribute::ImsicRegister {
                vcpu: VcpuId::new((attr / 4096).min(u32::MAX.into()) as u32),
                isel: (attr % 4096) as u32,
            }),
            (attribute::GRP_EXT, 0) => Some(Attribute::Config(ConfigAttr::Extensions)),
            (attribute::GRP_EXT, 1) => Some(Attribute::State(Part::Machine)),
            (attribute::GRP_EXT, 2) => Some(Attribute::State(Part::Aplic)),
            (attribute::GRP_EXT, _) if attr >> 32 == 1 => {
                Some(Attribute::State(Part::Imsic(VcpuId::new(attr as u32))))
            }
            _ => None,
        };

        assert_eq!(Attribute::decode(group, attr), expected, "{group} {attr}");
        let width = expected.map(|_| match group {
            0 | 3 => 4,
            1 | 4 => 8,
            2 => 0,
            _ if attr == 0 => 4,
            _ => 24,
        });
        assert_eq!(expected.map(Attribute::width), width);
    }
}

/// Look-ups of harts.
fn harts(input: &mut Input<'_>) {
    let list: Vec<_> = (0..input.below(24))
        .map(|n| {
            let index = match input.below(4) {
                0 => input.u32(),
                1 => u32::from(input.u8()) << 15,
                _ => input.u8().into(),
            };

            (index, VcpuIndex::new(n).unwrap())
        })
        .collect();
    let slots = match input.below(4) {
        0 => input.below(80) as usize,
        _ => slots_for(list.len()).unwrap(),
    };
    let different = {
        let mut indexes: Vec<_> = list.iter().map(|(index, _)| *index).collect();

        indexes.sort_unstable();
        indexes.dedup();
        indexes.len()
    };
    let storage: Vec<_> = (0..slots).map(|_| HartTableEntry::default()).collect();
    let table = HartTable::new(storage);
    assert_eq!(table.is_some(), slots.is_power_of_two());
    if let Some(table) = table {
        let results = list.iter().map(|&(index, vcpu)| table.insert(index, vcpu));
        let fits = results.fold(true, |fits, result| fits & result.is_ok());

        assert_eq!(fits, different <= slots / 2);
        let others = (0..8).map(|_| input.u32()).collect::<Vec<_>>();

        for index in list.iter().map(|(index, _)| *index).chain(others) {
            let first = list.iter().find(|(other, _)| *other == index);

            if let Some(found) = table.get(index) {
                assert_eq!(Some(found), first.map(|(_, vcpu)| *vcpu));
            } else {
                assert!(!fits || first.is_none());
            }
        }
    }

    // Numbers of a domain: each hart has one at most.
    let mut pairs = Vec::new();
    for _ in 0..input.below(12) {
        let machine = HartIndex::new(input.below(64)).unwrap();
        let own = HartIndex::new(input.below(16384)).unwrap();

        if pairs.iter().all(|(other, _)| *other != machine) {
            pairs.push((machine, own));
        }
    }
    let numbers = HartNumbers::new(pairs.clone());
    for n in 0..64 {
        let index = HartIndex::new(n).unwrap();
        let known = pairs.iter().find(|(machine, _)| *machine == index);

        assert_eq!(numbers.of(index), known.map_or(index, |(_, own)| *own));
    }
    let harts = input.word();
    let bits = default_hart_index_bits(harts);
    assert!(u64::from(harts) <= 1 << bits && (bits == 0 || u64::from(harts) > 1 << (bits - 1)));
}

/// Runs one of them.
pub fn run(data: &[u8]) {
    let input = &mut Input::new(data);

    match input.below(6) {
        0 | 1 => {
            if let Some((scheme, geometry)) = scheme::<Host>(input) {
                while !input.is_empty() {
                    locate(input, &scheme, &geometry);
                    msi_addr(input, &scheme, &geometry);
                    regions(input, &scheme, &geometry);
                }
            }
        }
        2 => {
            if let Some((scheme, geometry)) = scheme::<Guest>(input) {
                while !input.is_empty() {
                    locate(input, &scheme, &geometry);
                    regions(input, &scheme, &geometry);
                }
            }
        }
        3 => config(input),
        4 => attributes(input),
        _ => harts(input),
    }
}
