// SPDX-License-Identifier: GPL-2.0

//! Properties of the search for harts' pages, against a model that walks page by page.

use aia_core::{
    addr::{
        Host,
        PhysAddr, //
    },
    geometry::{
        Geometry,
        GeometryParams, //
    },
    regions::{
        FileMap,
        Region, //
    },
};
use proptest::prelude::*;
use std::collections::HashSet;

const BASE: u64 = 0x2800_0000;

/// A region of `pages` pages from page number `page` of a group.
type Shape = (u64, u64, u64);

/// Returns supervisor page and number of guest files of each hart.
fn model_places(shapes: &[Shape], guest_bits: u32) -> Vec<(usize, u64, u32)> {
    let mut places: Vec<(usize, u64, u32)> = Vec::new();
    for (region, &(group, page, pages)) in shapes.iter().enumerate() {
        for n in 0..pages {
            let addr = BASE + (group << 24) + (page + n) * 4096;
            if n % (1 << guest_bits) == 0 {
                places.push((region, addr, 0));
            } else {
                places.last_mut().unwrap().2 += 1;
            }
        }
    }
    places
}

/// Returns whether all pages are different and each region starts with a supervisor page.
fn model_accepts(shapes: &[Shape], guest_bits: u32) -> bool {
    let mut seen = HashSet::new();
    !shapes.is_empty()
        && shapes.iter().all(|&(group, page, pages)| {
            page % (1 << guest_bits) == 0
                && pages > 0
                && (0..pages).all(|n| seen.insert((group, page + n)))
        })
}

fn shapes() -> impl Strategy<Value = (u32, Vec<Shape>)> {
    (0..4_u32).prop_flat_map(|guest_bits| {
        // Mostly at the start of a hart's slot, sparse enough to be disjoint often.
        let start = prop_oneof![
            15 => (0..30_u64).prop_map(move |hart| hart << guest_bits),
            1 => 0..200_u64,
        ];
        let shape = (0..4_u64, start, 0..(4_u64 << guest_bits));
        (Just(guest_bits), prop::collection::vec(shape, 0..5))
    })
}

fn geometry(guest_bits: u32, hart_bits: u32) -> Geometry<Host> {
    Geometry::new(GeometryParams {
        guest_index_bits: guest_bits,
        hart_index_bits: hart_bits,
        group_index_bits: 2,
        group_index_shift: 24,
        file: PhysAddr::new(BASE),
    })
    .unwrap()
}

fn regions(shapes: &[Shape]) -> Vec<Region<Host>> {
    shapes
        .iter()
        .map(|&(group, page, pages)| {
            let start = BASE + (group << 24) + page * 4096;
            Region::new(PhysAddr::new(start), pages * 4096)
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn places((guest_bits, shapes) in shapes()) {
        // Eight hart index bits have room for every page that a shape can have.
        let geometry = geometry(guest_bits, 8);
        let regions = regions(&shapes);
        let map = FileMap::new(&geometry, &regions);
        prop_assert_eq!(map.is_ok(), model_accepts(&shapes, guest_bits));
        let Ok(map) = map else {
            return Ok(());
        };

        let model = model_places(&shapes, guest_bits);
        prop_assert_eq!(map.slots(), model.len() as u64);
        prop_assert_eq!(map.places().count(), model.len());
        for (place, &(region, addr, guest_files)) in map.places().zip(&model) {
            prop_assert_eq!(place.region, region);
            prop_assert_eq!(place.addr.get(), addr);
            prop_assert_eq!(regions[region].start.get() + place.offset, addr);
            prop_assert_eq!(place.guest_files, guest_files);
            let location = place.location.unwrap();
            prop_assert!(!location.guest.is_guest());
            prop_assert_eq!(geometry.addr_to_location(place.addr), Some(location));
        }
    }

    /// Whatever firmware says, there is an answer; what is accepted keeps its promises.
    #[test]
    fn any_regions(
        hart_bits in 0..=15_u32,
        guest_bits in 0..=7_u32,
        list in prop::collection::vec(
            (
                prop_oneof![any::<u64>(), (0..64_u64).prop_map(|page| BASE + page * 4096)],
                prop_oneof![any::<u64>(), 0..9_u64, (0..9_u64).prop_map(|pages| pages * 4096)],
            ),
            0..4,
        ),
    ) {
        let Ok(geometry) = Geometry::<Host>::new(GeometryParams {
            guest_index_bits: guest_bits,
            hart_index_bits: hart_bits,
            group_index_bits: 0,
            group_index_shift: 0,
            file: PhysAddr::new(BASE),
        }) else {
            return Err(TestCaseError::fail("valid scheme refused"));
        };
        let regions: Vec<_> = list
            .iter()
            .map(|&(start, size)| Region::new(PhysAddr::new(start), size))
            .collect();

        match FileMap::new(&geometry, &regions) {
            Err(err) => prop_assert!(err.index().is_none_or(|index| index < regions.len())),
            Ok(map) => {
                // There may be very many.
                let some = map.places().take(1000);
                prop_assert_eq!(some.clone().count() as u64, map.slots().min(1000));
                for place in some {
                    let region = &regions[place.region];
                    let pages = (u64::from(place.guest_files) + 1) * 4096;
                    prop_assert!(place.offset + pages <= region.size);
                    prop_assert!(pages <= geometry.hart_stride());
                }
            }
        }
    }
}
