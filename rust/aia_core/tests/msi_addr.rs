// SPDX-License-Identifier: GPL-2.0

//! Properties of the addresses of an APLIC's MSIs, against the scheme of the interrupt files.

mod common;

use aia_core::{
    addr::{
        Host,
        PhysAddr, //
    },
    aplic::{
        msi_addr::{
            MsiAddrConfig,
            MsiAddrError,
            TargetError, //
        },
        target::MsiTarget,
    },
    geometry::{
        Geometry,
        GeometryParams, //
    },
    ids::Eiid,
};
use common::{
    any_location,
    fit,
    model_addr,
    valid_params, //
};
use proptest::prelude::*;

/// AIA 4.9.1, from the contents of the registers alone.
fn formula(config: &MsiAddrConfig, target: u32) -> u128 {
    let (low, high) = (config.mmsiaddrcfg(), config.mmsiaddrcfgh());
    let field = |value: u32, shift: u32, bits: u32| u128::from(value >> shift) % (1 << bits);

    let hhxs = field(high, 24, 5);
    let hhxw = field(high, 16, 3);
    let lhxw = field(high, 12, 4);
    let base_ppn = field(high, 0, 12) << 32 | u128::from(low);
    let lhxs = field(high, 20, 3);

    let hart = field(target, 18, 14);
    let guest = field(target, 12, 6);
    let g = (hart >> lhxw) & ((1 << hhxw) - 1);
    let h = hart & ((1 << lhxw) - 1);
    (base_ppn | g << (hhxs + 12) | h << lhxs | guest) << 12
}

/// Schemes whose base address an APLIC can hold; half of them have the group index where it can.
fn params() -> impl Strategy<Value = GeometryParams<Host>> {
    (valid_params(), any::<bool>(), 24..=55_u32).prop_map(|(mut params, high, shift)| {
        params.file = PhysAddr::new(params.file.get() % (1 << 56));
        let low_bits = 12 + params.guest_index_bits + params.hart_index_bits;
        if high && shift >= low_bits {
            params.group_index_shift = shift;
        }
        params
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn agrees_with_geometry(
        params in params(),
        location in any_location(),
        eiid in 1..=2047_u32,
    ) {
        let geometry = Geometry::new(params).unwrap();
        let config = match MsiAddrConfig::new(&geometry) {
            Ok(config) => config,
            Err(err) => {
                prop_assert_eq!(err, MsiAddrError::Hhxs);
                prop_assert!(params.group_index_bits > 0 && params.group_index_shift < 24);
                return Ok(());
            }
        };
        let location = fit(&geometry, location);
        let eiid = Eiid::new(eiid).unwrap();
        let addr = PhysAddr::new(model_addr(&params, location));
        let hart = location.group.get() << params.hart_index_bits | location.hart.get();

        match config.target_for(addr, eiid) {
            Ok(target) => {
                prop_assert_eq!(target.hart.get(), hart);
                prop_assert_eq!(target.guest, location.guest);
                prop_assert_eq!(target.eiid, eiid);
                prop_assert_eq!(config.addr_of(target), addr);
                prop_assert_eq!(formula(&config, target.encode()), u128::from(addr.get()));
                prop_assert_eq!(MsiTarget::decode(target.encode()), Some(target));
            }
            Err(err) => {
                prop_assert_eq!(err, TargetError::HartIndex);
                prop_assert!(hart > 16383);
            }
        }
    }

    #[test]
    fn any_address(params in params(), addr in any::<u64>(), flip in any::<u64>()) {
        let geometry = Geometry::new(params).unwrap();
        let Ok(config) = MsiAddrConfig::new(&geometry) else {
            return Ok(());
        };
        for addr in [addr, addr & !0xfff, params.file.get() ^ (flip & 0xff_ffff)] {
            let addr = PhysAddr::new(addr);
            match config.target_for(addr, Eiid::MIN) {
                Ok(target) => prop_assert_eq!(config.addr_of(target), addr),
                Err(TargetError::Unaligned) => prop_assert!(!addr.is_page_aligned()),
                Err(TargetError::BaseMismatch) => prop_assert!(!geometry.matches(addr)),
                Err(TargetError::HartIndex | TargetError::GuestIndex) => {
                    prop_assert!(geometry.matches(addr));
                }
            }
        }
    }

    #[test]
    fn any_target(params in params(), value in any::<u32>()) {
        let geometry = Geometry::new(params).unwrap();
        let (Ok(config), Some(target)) = (MsiAddrConfig::new(&geometry), MsiTarget::decode(value))
        else {
            return Ok(());
        };
        prop_assert_eq!(target.encode(), value & !(1 << 11));
        prop_assert_eq!(u128::from(config.addr_of(target).get()), formula(&config, value));
    }
}
