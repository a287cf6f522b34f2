// SPDX-License-Identifier: GPL-2.0

//! KVM on a machine whose harts have no AIA: it works, has no AIA for guests, and
//! says so by the right errors (c61ec3e8cc5d).

use ktap::Tap;
use kvm_bindings::{
    kvm_create_device,
    kvm_device_type_KVM_DEV_TYPE_RISCV_AIA,
    kvm_msi,
    KVM_CREATE_DEVICE_TEST, //
};
use kvm_ioctls::{
    Cap,
    Kvm,
    VcpuExit,
    VmFd, //
};
use libc::{
    EINVAL,
    ENODEV,
    ENOENT,
    ENXIO, //
};
use std::{
    process::ExitCode,
    thread::{
        scope,
        sleep, //
    },
    time::Duration, //
};
use vmm::{
    abi::{
        DOORBELL,
        IMSIC_BASE, //
    },
    diag,
    ensure,
    fixture::errno,
    plain::{
        aia_csr,
        reg,
        regs,
        set_reg,
        ssaia,
        Plain, //
    },
    refused,
    same,
    Aia,
    Context,
    Error,
    Result, //
};

/// CSRs that only harts with the AIA have, in the order in which [`PROGRAM`] reads them.
const CSRS: [&str; 4] = ["stopei", "siselect", "sireg", "stopi"];
/// The guest is about to wait for an external interrupt.
const WAITS: u64 = DOORBELL + 4;
/// The wait is over; the value is that of sip.
const WOKEN: u64 = DOORBELL + 8;
const SIP_SEIP: u32 = 1 << 9;
const ILLEGAL_INSTRUCTION: u32 = 2;

/// Stores the exception of each CSR, or 0, to the doorbell; then waits twice.
const PROGRAM: &[u32] = &[
    0x0000_0297, //	auipc	t0, 0
    0x05c2_8293, //	addi	t0, t0, 0x5c	# handler
    0x1052_9073, //	csrw	stvec, t0
    0x1000_1437, //	lui	s0, 0x10001	# the doorbell
    0x0000_0513, //	li	a0, 0
    0x15c0_25f3, //	csrr	a1, stopei
    0x00a4_2023, //	sw	a0, 0(s0)
    0x0000_0513, //	li	a0, 0
    0x1500_25f3, //	csrr	a1, siselect
    0x00a4_2023, //	sw	a0, 0(s0)
    0x0000_0513, //	li	a0, 0
    0x1510_25f3, //	csrr	a1, sireg
    0x00a4_2023, //	sw	a0, 0(s0)
    0x0000_0513, //	li	a0, 0
    0xdb00_25f3, //	csrr	a1, stopi
    0x00a4_2023, //	sw	a0, 0(s0)
    0x2000_0313, //	li	t1, 0x200	# external interrupts
    0x1043_1073, //	csrw	sie, t1
    0x0004_2223, //	sw	zero, 4(s0)	# 0x48
    0x1050_0073, //	wfi
    0x1440_2573, //	csrr	a0, sip
    0x00a4_2423, //	sw	a0, 8(s0)
    0xff1f_f06f, //	j	0x48
    0x1420_2573, //	csrr	a0, scause	# 0x5c, the handler
    0x1410_23f3, //	csrr	t2, sepc
    0x0043_8393, //	addi	t2, t2, 4	# the instruction after it
    0x1413_9073, //	csrw	sepc, t2
    0x1020_0073, //	sret
];

/// KVM_CREATE_DEVICE with these flags.
fn create(vm: &VmFd, flags: u32) -> std::io::Result<()> {
    let mut device = kvm_create_device {
        type_: kvm_device_type_KVM_DEV_TYPE_RISCV_AIA,
        fd: 0,
        flags,
    };

    vm.create_device(&mut device).map(drop).map_err(errno)
}

fn device(kvm: &Kvm) -> Result<()> {
    ensure(!kvm.check_extension(Cap::Irqchip), || {
        "KVM has KVM_CAP_IRQCHIP".into()
    })?;
    let vm = kvm.create_vm().context("KVM_CREATE_VM")?;

    ensure(!vm.check_extension(Cap::Irqchip), || {
        "the machine has KVM_CAP_IRQCHIP".into()
    })?;
    for vcpus in 0..3 {
        let with = || format!("KVM_CREATE_DEVICE with {vcpus} vCPUs");

        refused(Aia::new(&vm), ENODEV, with)?;
        refused(create(&vm, KVM_CREATE_DEVICE_TEST), ENODEV, with)?;
        // Nothing is left that would take an interrupt.
        let msi = vm.signal_msi(kvm_msi {
            address_lo: IMSIC_BASE as u32,
            data: 1,
            ..Default::default()
        });

        refused(msi.map_err(errno), EINVAL, || "KVM_SIGNAL_MSI".into())?;
        refused(vm.set_irq_line(1, true).map_err(errno), ENXIO, || {
            "KVM_IRQ_LINE".into()
        })?;
        vm.create_vcpu(vcpus).context("KVM_CREATE_VCPU")?;
    }
    Ok(())
}

fn registers(kvm: &Kvm) -> Result<()> {
    let machine = Plain::new(kvm, PROGRAM)?;
    let all = regs(&machine.vcpu)?;
    // Those that exist where there is an AIA, and what is beyond.
    let numbers = (0..8).chain([0xff, 0xffff]).map(aia_csr);

    for id in numbers.chain([ssaia()]) {
        refused(reg(&machine.vcpu, id), ENOENT, || {
            format!("KVM_GET_ONE_REG {id:#x}")
        })?;
        for value in [0, 1] {
            refused(set_reg(&machine.vcpu, id, value), ENOENT, || {
                format!("KVM_SET_ONE_REG {id:#x} = {value}")
            })?;
        }
        ensure(!all.contains(&id), || {
            format!("KVM_GET_REG_LIST has {id:#x}")
        })?;
    }
    ensure(all.len() > 50, || format!("only {} registers", all.len()))
}

/// Runs until the guest stores to one of the doorbells; its address and value.
fn next(machine: &mut Plain) -> Result<(u64, u32)> {
    match machine.vcpu.run().context("KVM_RUN")? {
        VcpuExit::MmioWrite(addr, data) => {
            let mut value = [0; 4];

            value.copy_from_slice(data);
            Ok((addr, u32::from_le_bytes(value)))
        }
        other => Err(Error::new(format!("unexpected exit {other:?}"))),
    }
}

fn csrs(kvm: &Kvm) -> Result<()> {
    let mut machine = Plain::new(kvm, PROGRAM)?;

    for csr in CSRS {
        same(next(&mut machine)?, (DOORBELL, ILLEGAL_INSTRUCTION), || {
            format!("exception of {csr}")
        })?;
    }
    Ok(())
}

fn interrupts(kvm: &Kvm) -> Result<()> {
    let mut machine = Plain::new(kvm, PROGRAM)?;
    let wire = machine.wire();

    for _ in CSRS {
        next(&mut machine)?;
    }
    // Pending already; then the vCPU sleeps until it comes.
    for wait in ["none", "sleeps"] {
        same(next(&mut machine)?, (WAITS, 0), || "before WFI".into())?;
        let before = machine.stats()?;
        let woken = scope(|s| {
            let late = wait == "sleeps";
            let raise = move || {
                if late {
                    sleep(Duration::from_millis(50));
                }
                wire.set(true).context("KVM_INTERRUPT")
            };

            if !late {
                raise()?;
                return next(&mut machine);
            }
            let thread = s.spawn(raise);
            let woken = next(&mut machine);

            thread
                .join()
                .map_err(|_| Error::new("a thread panicked"))??;
            woken
        })?;
        let stats = machine.stats()?.since(&before);

        diag(format!("WFI, {wait}: {stats}"));
        same(woken, (WOKEN, SIP_SEIP), || {
            "sip after an external interrupt".into()
        })?;
        same(
            (
                stats.get("wfi_exit_stat"),
                stats.get("halt_wait_ns") != 0,
                stats.get("halt_wakeup"),
            ),
            (1, wait == "sleeps", u64::from(wait == "sleeps")),
            || format!("how the vCPU waited: {stats}"),
        )?;
        wire.set(false).context("KVM_INTERRUPT")?;
    }
    Ok(())
}

type Test = (&'static str, fn(&Kvm) -> Result<()>);

const TESTS: &[Test] = &[
    ("no device, nor interrupts by it", device),
    ("no registers of the AIA, nor Ssaia", registers),
    ("guest: CSRs of the AIA do not exist", csrs),
    ("guest: external interrupts of user space", interrupts),
];

fn main() -> ExitCode {
    let kvm = match Kvm::new() {
        Ok(kvm) => kvm,
        Err(e) => Tap::new(TESTS.len()).bail_out(format!("/dev/kvm: {e}")),
    };
    let mut tap = Tap::new(TESTS.len());

    for (name, test) in TESTS {
        tap.check(test(&kvm), name);
    }
    tap.finish()
}
