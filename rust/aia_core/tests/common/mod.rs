// SPDX-License-Identifier: GPL-2.0

//! What the property tests share.

use aia_core::{
    addr::{
        AddressSpace,
        PhysAddr, //
    },
    geometry::{
        Geometry,
        GeometryParams,
        Location, //
    },
    ids::{
        GroupIndex,
        GuestIndex,
        HartIndex, //
    },
};
use proptest::prelude::*;

/// Parameters of valid schemes, up to all limits of the address space.
pub(crate) fn valid_params<AS: AddressSpace>() -> impl Strategy<Value = GeometryParams<AS>> {
    (
        0..=AS::MAX_GUEST_INDEX_BITS,
        0..=AS::MAX_HART_INDEX_BITS,
        0..=AS::MAX_GROUP_INDEX_BITS,
        any::<u64>(),
    )
        .prop_flat_map(|(guest, hart, group, file)| {
            let position = if group == 0 {
                (0..=u32::MAX).boxed()
            } else {
                (12 + guest + hart..=AS::MAX_GROUP_INDEX_SHIFT).boxed()
            };
            position.prop_map(move |shift| GeometryParams {
                guest_index_bits: guest,
                hart_index_bits: hart,
                group_index_bits: group,
                group_index_shift: shift,
                file: PhysAddr::new(file & !0xfff),
            })
        })
}

/// Any interrupt file that an index type can name, whether or not a scheme has room for it.
pub(crate) fn any_location() -> impl Strategy<Value = Location> {
    (any::<u8>(), 0..16384_u32, 0..64_u32).prop_map(|(group, hart, guest)| Location {
        group: GroupIndex::new(group.into()).unwrap(),
        hart: HartIndex::new(hart).unwrap(),
        guest: GuestIndex::new(guest).unwrap(),
    })
}

/// Cuts the indexes of `location` down to what `geometry` has room for.
pub(crate) fn fit<AS: AddressSpace>(geometry: &Geometry<AS>, location: Location) -> Location {
    let cut = |index: u32, bits: u32| index % (1 << bits);
    Location {
        group: GroupIndex::new(cut(location.group.get(), geometry.group_index_bits())).unwrap(),
        hart: HartIndex::new(cut(location.hart.get(), geometry.hart_index_bits())).unwrap(),
        guest: GuestIndex::new(cut(location.guest.get(), geometry.guest_index_bits())).unwrap(),
    }
}

/// Copies the lowest `width` bits of `index` to `position` of `addr`, one by one.
fn put(addr: &mut u64, index: u32, position: u32, width: u32) {
    for bit in 0..width {
        let mask = 1 << (position + bit);
        *addr &= !mask;
        if bit < u32::BITS && index >> bit & 1 != 0 {
            *addr |= mask;
        }
    }
}

/// Returns the address of `location` the slow way, starting from any interrupt file's address.
pub(crate) fn model_addr<AS: AddressSpace>(params: &GeometryParams<AS>, location: Location) -> u64 {
    let mut addr = params.file.get();
    put(&mut addr, location.guest.get(), 12, params.guest_index_bits);
    put(
        &mut addr,
        location.hart.get(),
        12 + params.guest_index_bits,
        params.hart_index_bits,
    );
    put(
        &mut addr,
        location.group.get(),
        params.group_index_shift,
        params.group_index_bits,
    );
    addr
}
