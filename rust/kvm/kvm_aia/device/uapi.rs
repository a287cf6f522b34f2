// SPDX-License-Identifier: GPL-2.0

//! The numbers of the device are those of the header for user space.
//!
//! C header: `arch/riscv/include/uapi/asm/kvm.h`

use core::mem::offset_of;

use aia_core::guest::{
    attribute::{
        EXT_APLIC_STATE,
        EXT_ENABLE,
        EXT_IMSIC_STATE,
        EXT_SNAPSHOT,
        GRP_ADDR,
        GRP_APLIC,
        GRP_CONFIG,
        GRP_CTRL,
        GRP_EXT,
        GRP_IMSIC, //
    },
    config::{
        Extensions,
        Mode, //
    },
    state::Header, //
};
use kernel::bindings::{
    self,
    kvm_riscv_aia_state, //
};

const _: () = {
    assert!(GRP_CONFIG == bindings::KVM_DEV_RISCV_AIA_GRP_CONFIG);
    assert!(GRP_ADDR == bindings::KVM_DEV_RISCV_AIA_GRP_ADDR);
    assert!(GRP_CTRL == bindings::KVM_DEV_RISCV_AIA_GRP_CTRL);
    assert!(GRP_APLIC == bindings::KVM_DEV_RISCV_AIA_GRP_APLIC);
    assert!(GRP_IMSIC == bindings::KVM_DEV_RISCV_AIA_GRP_IMSIC);
    assert!(GRP_EXT == bindings::KVM_DEV_RISCV_AIA_GRP_EXT);

    assert!(Mode::Emul.get() == bindings::KVM_DEV_RISCV_AIA_MODE_EMUL);
    assert!(Mode::Hwaccel.get() == bindings::KVM_DEV_RISCV_AIA_MODE_HWACCEL);
    assert!(Mode::Auto.get() == bindings::KVM_DEV_RISCV_AIA_MODE_AUTO);
};

/// What C does not have.
const _: () = {
    // CAST: Numbers of attributes have 64 bits, here and below.
    assert!(EXT_ENABLE == bindings::KVM_DEV_RISCV_AIA_EXT_ENABLE as u64);
    assert!(Extensions::AUTO_ANYWHERE.get() == bindings::KVM_DEV_RISCV_AIA_EXT_AUTO_ANYWHERE);
    assert!(Extensions::EMUL_IDS.get() == bindings::KVM_DEV_RISCV_AIA_EXT_EMUL_IDS);
    assert!(Extensions::LATE_VCPUS.get() == bindings::KVM_DEV_RISCV_AIA_EXT_LATE_VCPUS);

    assert!(EXT_SNAPSHOT == bindings::KVM_DEV_RISCV_AIA_EXT_SNAPSHOT as u64);
    assert!(EXT_APLIC_STATE == bindings::KVM_DEV_RISCV_AIA_EXT_APLIC_STATE as u64);
    assert!(EXT_IMSIC_STATE == bindings::KVM_DEV_RISCV_AIA_EXT_IMSIC_STATE);
};

/// A state, whose header has the fields in the order of [`Header::encode`].
const _: () = {
    assert!(Header::VERSION == bindings::KVM_DEV_RISCV_AIA_STATE_VERSION);
    assert!(offset_of!(kvm_riscv_aia_state, version) == 0);
    assert!(offset_of!(kvm_riscv_aia_state, size) == 4);
    assert!(offset_of!(kvm_riscv_aia_state, nr_ids) == 8);
    assert!(offset_of!(kvm_riscv_aia_state, nr_sources) == 12);
    assert!(offset_of!(kvm_riscv_aia_state, nr_vcpus) == 16);
    assert!(offset_of!(kvm_riscv_aia_state, reserved) == 20);
    assert!(offset_of!(kvm_riscv_aia_state, data) == Header::SIZE);
    assert!(size_of::<kvm_riscv_aia_state>() == Header::SIZE);
};
