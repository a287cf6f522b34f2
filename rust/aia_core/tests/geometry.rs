// SPDX-License-Identifier: GPL-2.0

//! Properties of the MSI target address scheme, against a model that handles single bits.

mod common;

use aia_core::{
    addr::{
        AddressSpace,
        Guest,
        Host,
        PhysAddr, //
    },
    geometry::{
        Geometry,
        GeometryParams,
        Location, //
    },
};
use common::{
    any_location,
    fit,
    model_addr,
    valid_params, //
};
use proptest::prelude::*;

/// Returns whether the interface allows `params`, by looking at each bit of a wide address.
fn model_accepts<AS: AddressSpace>(params: &GeometryParams<AS>) -> bool {
    if params.guest_index_bits > AS::MAX_GUEST_INDEX_BITS
        || params.hart_index_bits > AS::MAX_HART_INDEX_BITS
        || params.group_index_bits > AS::MAX_GROUP_INDEX_BITS
        || params.file.get() % 4096 != 0
    {
        return false;
    }
    let low = 12 + params.guest_index_bits + params.hart_index_bits;
    (0..params.group_index_bits).all(|bit| {
        let position = u64::from(params.group_index_shift) + u64::from(bit);
        params.group_index_shift <= AS::MAX_GROUP_INDEX_SHIFT
            && position >= u64::from(low)
            && position < 64
    })
}

fn check_scheme<AS: AddressSpace>(
    params: GeometryParams<AS>,
    location: Location,
    other: Location,
    addr: u64,
) -> Result<(), TestCaseError> {
    let geometry = Geometry::new(params).unwrap();
    let location = fit(&geometry, location);
    let other = fit(&geometry, other);

    prop_assert!(geometry.matches(params.file));
    prop_assert!(geometry.matches(geometry.base()));

    // Location to address and back.
    let page = PhysAddr::new(model_addr(&params, location));
    prop_assert!(geometry.matches(page));
    prop_assert_eq!(geometry.addr_to_location(page), Some(location));

    // Different files, different pages; the next page of a hart is the next guest's.
    let other_page = PhysAddr::new(model_addr(&params, other));
    prop_assert_eq!(page == other_page, location == other);
    if location.group == other.group && location.hart == other.hart {
        let guests = i64::from(location.guest.get()) - i64::from(other.guest.get());
        prop_assert_eq!(page.get() as i64 - other_page.get() as i64, guests * 4096);
    }

    // Address to location and back, for addresses near and far.
    for addr in [
        addr,
        addr & 0xfff | page.get(),
        other_page.get() ^ addr & !0xfff,
    ] {
        let addr = PhysAddr::new(addr);
        match geometry.addr_to_location(addr) {
            Some(location) => {
                prop_assert_eq!(addr.page().get(), model_addr(&params, location));
            }
            None => {
                let too_wide = params.hart_index_bits > 14 || params.guest_index_bits > 6;
                prop_assert!(!geometry.matches(addr) || too_wide);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn host_schemes(
        params in valid_params::<Host>(),
        location in any_location(),
        other in any_location(),
        addr in any::<u64>(),
    ) {
        check_scheme(params, location, other, addr)?;
    }

    #[test]
    fn guest_schemes(
        params in valid_params::<Guest>(),
        location in any_location(),
        other in any_location(),
        addr in any::<u64>(),
    ) {
        check_scheme(params, location, other, addr)?;
    }

    #[test]
    fn acceptance(
        guest in prop_oneof![4 => 0..10_u32, 1 => any::<u32>()],
        hart in prop_oneof![4 => 0..18_u32, 1 => any::<u32>()],
        group in prop_oneof![4 => 0..10_u32, 1 => any::<u32>()],
        shift in prop_oneof![4 => 0..70_u32, 1 => any::<u32>()],
        file in prop_oneof![4 => any::<u64>().prop_map(|addr| addr & !0xfff), 1 => any::<u64>()],
    ) {
        let host = GeometryParams::<Host> {
            guest_index_bits: guest,
            hart_index_bits: hart,
            group_index_bits: group,
            group_index_shift: shift,
            file: PhysAddr::new(file),
        };
        prop_assert_eq!(Geometry::new(host).is_ok(), model_accepts(&host));

        let guest = GeometryParams::<Guest> {
            guest_index_bits: guest,
            hart_index_bits: hart,
            group_index_bits: group,
            group_index_shift: shift,
            file: PhysAddr::new(file),
        };
        prop_assert_eq!(Geometry::new(guest).is_ok(), model_accepts(&guest));
    }

    #[test]
    fn default_width(harts in 1..=u32::MAX) {
        let bits = aia_core::geometry::default_hart_index_bits(harts);
        prop_assert!(u64::from(harts) <= 1 << bits);
        prop_assert!(bits == 0 || u64::from(harts) > 1 << (bits - 1));
    }
}
