// SPDX-License-Identifier: GPL-2.0

//! When the device can be created.

use libc::{
    EBUSY,
    EEXIST,
    EINTR, //
};
use vmm::{
    fixture::{
        errno,
        Fixture, //
    },
    refused,
    Aia,
    Context,
    Machine,
    Result, //
};

pub(crate) fn second(m: &Machine) -> Result<()> {
    let f = Fixture::new(m, 1)?;

    refused(Aia::new(&f.vm), EEXIST, || "a second device".into())?;
    f.configure(63, 4)?;
    f.aia.init().context("INIT after that")?;
    refused(Aia::new(&f.vm), EEXIST, || "a second device".into())
}

pub(crate) fn after_vcpus(m: &Machine) -> Result<()> {
    let vm = m.kvm().create_vm().context("KVM_CREATE_VM")?;
    let mut vcpu = vm.create_vcpu(0).context("KVM_CREATE_VCPU")?;

    let aia = Aia::new(&vm).context("with a vCPU that has not run")?;
    drop((aia, vcpu, vm));

    let vm = m.kvm().create_vm().context("KVM_CREATE_VM")?;
    vcpu = vm.create_vcpu(0).context("KVM_CREATE_VCPU")?;
    // Comes back at once, but has run.
    vcpu.set_kvm_immediate_exit(1);
    refused(vcpu.run().map_err(errno), EINTR, || "KVM_RUN".into())?;
    refused(Aia::new(&vm), EBUSY, || "with a vCPU that has run".into())?;
    // Still so: a failure leaves nothing behind that answers in its place.
    refused(Aia::new(&vm), EBUSY, || "again".into())
}
