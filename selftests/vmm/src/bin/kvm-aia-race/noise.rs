// SPDX-License-Identifier: GPL-2.0

//! Threads that do at random what a VMM may do, and what none should.

use kvm_bindings::*;
use vmm::{
    fixture::{
        page,
        Fixture, //
    },
    regs::{
        aplic,
        imsic, //
    },
    Aia,
    Place,
    TestMemory, //
};

/// Numbers that look like chance (xorshift).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end
    }

    fn of<T: Copy>(&mut self, some: &[T]) -> T {
        some[self.below(some.len() as u64) as usize]
    }
}

/// A number as an attacker would choose it.
fn number(r: &mut Random) -> u64 {
    match r.below(6) {
        0 => r.below(8),
        1 => r.below(0x10000),
        2 => 1 << r.below(64),
        3 => (1u64 << r.below(64)).wrapping_sub(1),
        4 => u64::MAX - r.below(4),
        _ => r.next(),
    }
}

/// One attribute, and mostly one that makes sense.
pub(crate) fn attribute(aia: &Aia, mem: &TestMemory, r: &mut Random) {
    let group = match r.below(16) {
        0 => number(r) as u32,
        n => n as u32 % 5,
    };
    let attr = match (r.below(8), group) {
        (0, _) => number(r),
        (_, KVM_DEV_RISCV_AIA_GRP_CONFIG | KVM_DEV_RISCV_AIA_GRP_ADDR) => r.below(8),
        // INIT has a thread of its own.
        (_, KVM_DEV_RISCV_AIA_GRP_CTRL) => 1 + r.below(4),
        (_, KVM_DEV_RISCV_AIA_GRP_APLIC) => match r.below(4) {
            0 => r.below(aplic::SIZE.into()),
            _ => {
                let base = r.of(&[
                    aplic::SOURCECFG,
                    aplic::TARGET,
                    aplic::SETIP,
                    aplic::SETIPNUM,
                    aplic::IN_CLRIP,
                    aplic::CLRIPNUM,
                    aplic::SETIE,
                    aplic::SETIENUM,
                    aplic::CLRIE,
                    aplic::SETIPNUM_LE,
                ]);

                u64::from(base) + 4 * r.below(8)
            }
        },
        (_, _) => Aia::imsic_attr(
            r.below(6) as usize,
            imsic::EIDELIVERY + r.below(0x90) as u32,
        ),
    };
    // INIT, however it was come by.
    if group == KVM_DEV_RISCV_AIA_GRP_CTRL && attr == u64::from(KVM_DEV_RISCV_AIA_CTRL_INIT) {
        return;
    }
    let place = r.of(&[Place::Nowhere, Place::Short(4), Place::ReadOnly]);
    // Errors are what this is for.
    let _ = match r.below(8) {
        0 => aia.set_at(group, attr, mem, place),
        1 => aia.get_at(group, attr, mem, place),
        2 | 3 => aia.has(group, attr),
        4 | 5 => aia.get(group, attr, 0).map(drop),
        _ => {
            let value = number(r);

            aia.set(group, attr, value)
        }
    };
}

/// One wire or MSI.
pub(crate) fn injection(f: &Fixture, r: &mut Random) {
    let _ = match r.below(4) {
        0 => {
            let line = number(r) as u32;

            f.line(line, r.below(2) == 0)
        }
        1 | 2 => f.line(r.below(6) as u32, r.below(2) == 0),
        _ => {
            let to = page(r.below(6) as usize) + r.of(&[0, 0, 0, 4, 8, 1]);
            let data = r.of(&[0, 1, 5, 63, 64, 255, u32::MAX]);

            f.msi(to, data).map(drop)
        }
    };
}
