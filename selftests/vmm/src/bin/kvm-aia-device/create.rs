// SPDX-License-Identifier: GPL-2.0

//! When the device can be created.

use libc::{
    EBUSY,
    EEXIST,
    EINTR,
    EMFILE,
    ENXIO, //
};
use std::fs::File;
use vmm::{
    fixture::{
        errno,
        page,
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

/// A device for which there is no file descriptor is none.
pub(crate) fn no_descriptor(m: &Machine) -> Result<()> {
    let vm = m.kvm().create_vm().context("KVM_CREATE_VM")?;
    let mut files = Vec::new();
    let full = loop {
        match File::open("/dev/null") {
            Ok(file) => files.push(file),
            Err(e) => break e,
        }
    };

    for _ in 0..2 {
        refused(Aia::new(&vm), EMFILE, || {
            format!("a device with {} files open: {full}", files.len())
        })?;
    }
    drop(files);
    refused(vm.set_irq_line(1, true).map_err(errno), ENXIO, || {
        "KVM_IRQ_LINE without a device".into()
    })?;
    let vcpu = vm.create_vcpu(0).context("KVM_CREATE_VCPU")?;
    let aia = Aia::new(&vm).context("with a descriptor")?;

    refused(Aia::new(&vm), EEXIST, || "a second device".into())?;
    aia.set_imsic_addr(0, page(0)).context("IMSIC address")?;
    aia.init().context("INIT")?;
    drop(vcpu);
    Ok(())
}
