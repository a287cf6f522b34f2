// SPDX-License-Identifier: GPL-2.0

//! The virtual machine of an input, and what steps do to it.

use crate::{
    code, coverage,
    input::is_traced,
    plan::{
        Plan,
        Setup,
        Step, //
    },
    sys::{
        self,
        Alarm,
        Memory,
        Verb,
        PAGE, //
    },
    trace,
    verdict::{
        self,
        judge, //
    },
};
use kvm_bindings::*;
use kvm_ioctls::{
    DeviceFd,
    VcpuExit,
    VcpuFd,
    VmFd, //
};
use std::{
    fs, io,
    os::fd::{
        AsRawFd,
        RawFd, //
    },
    sync::{
        Arc,
        Mutex,
        OnceLock,
        RwLock, //
    },
    thread,
    time::Duration,
};
use vmm::{
    abi::{
        APLIC_BASE,
        IMSIC_BASE,
        RAM_BASE, //
    },
    ext,
    host, //
};
use vmm_sys_util::eventfd::EventFd;

/// As many vCPUs as steps may create.
const MOST_VCPUS: usize = 8;
/// Exits of a run that are answered.
const EXITS: usize = 40;
/// How long a guest may be waiting before its run ends.
const PATIENCE: Duration = Duration::from_millis(4);
/// Memory for attributes: more than the state of a machine is.
const SCRATCH: usize = 0x1_0000;
/// Fields of [`kvm_riscv_csr`].
const CSR_SSTATUS: u64 = 0;
const CSR_STVEC: u64 = 2;
/// What a guest's sstatus has: SIE, SPIE, SPP, VS, FS, SUM, MXR, and 64 bits for UXL.
const SSTATUS: u64 = 1 << 1 | 1 << 5 | 1 << 8 | 3 << 9 | 3 << 13 | 3 << 18;
const SSTATUS_UXL_64: u64 = 2 << 32;

/// Kinds of system calls, for [`coverage::answered`].
mod kind {
    pub const CREATE: u8 = 1;
    pub const REGISTER: u8 = 2;
    pub const MP_STATE: u8 = 3;
    pub const LINE: u8 = 4;
    pub const MSI: u8 = 5;
    pub const IRQFD: u8 = 6;
    pub const ROUTE: u8 = 7;
    pub const RUN: u8 = 8;
    pub const COVER: u8 = 9;
    pub const STATE: u8 = 10;
    /// And the verb and the low bits of the group.
    pub const ATTRIBUTE: u8 = 0x40;
    /// And the reason.
    pub const EXIT: u8 = 0x80;
}

/// Registers of vCPUs, from KVM_GET_REG_LIST.
static REGISTERS: OnceLock<Vec<u64>> = OnceLock::new();
/// CPUs that are there.
static CPUS: OnceLock<Vec<usize>> = OnceLock::new();

fn cpu(n: usize) -> usize {
    let cpus = CPUS.get_or_init(|| host::online_cpus().expect("CPUs"));

    cpus[n % cpus.len()]
}

fn errno(e: kvm_ioctls::Error) -> io::Error {
    io::Error::from_raw_os_error(e.errno())
}

/// The number of a register of 64 bits.
fn register(kind: u32, index: u64) -> u64 {
    KVM_REG_RISCV as u64 | KVM_REG_SIZE_U64 | u64::from(kind) | index
}

fn csr(index: u64) -> u64 {
    register(KVM_REG_RISCV_CSR, index)
}

/// A vCPU, whose file descriptor is used while somebody runs it, too.
#[derive(Debug)]
struct Vcpu {
    fd: RawFd,
    run: Mutex<VcpuFd>,
}

#[derive(Debug)]
struct Machine {
    vcpus: RwLock<Vec<Arc<Vcpu>>>,
    device: Mutex<Option<Arc<DeviceFd>>>,
    event: EventFd,
    resample: EventFd,
    vm: VmFd,
    // What the guest runs, which goes after the machine.
    _ram: Memory,
    cover: Memory,
    /// Whether only one thread does anything to it.
    alone: bool,
}

/// What a thread has to itself.
struct Own {
    scratch: Memory,
    alarm: Alarm,
}

impl Own {
    fn new() -> Self {
        Self {
            scratch: Memory::new(SCRATCH).expect("memory"),
            alarm: Alarm::new().expect("a timer"),
        }
    }
}

/// Does what the plan says to a machine, which is gone afterwards.
pub fn execute(plan: &Plan) {
    let machine = Machine::new(plan);
    let own = Own::new();

    sys::pin(cpu(0));
    machine.set_up(&plan.setup, &own);
    thread::scope(|scope| {
        if !machine.alone {
            scope.spawn(|| {
                let own = Own::new();

                sys::pin(cpu(1));
                for step in &plan.steps[1] {
                    machine.step(step, &own);
                }
            });
        }
        for step in &plan.steps[0] {
            trace!("{step:x?}");
            machine.step(step, &own);
        }
    });
}

impl Machine {
    fn new(plan: &Plan) -> Self {
        let vm = verdict::kvm().create_vm().expect("KVM_CREATE_VM");
        let ram = Memory::new(plan.programs.len().max(1) * code::SIZE).expect("memory");

        for (n, program) in plan.programs.iter().enumerate() {
            ram.write(n * code::SIZE, &code::assemble(program));
        }
        if !plan.programs.is_empty() {
            ram.attach(&vm, 0, RAM_BASE, plan.programs.len() * code::SIZE)
                .expect("guest memory");
        }
        let mut device = kvm_create_device {
            type_: kvm_device_type_KVM_DEV_TYPE_RISCV_AIA,
            ..Default::default()
        };

        Self {
            vcpus: RwLock::new(Vec::new()),
            device: Mutex::new(vm.create_device(&mut device).ok().map(Arc::new)),
            event: EventFd::new(libc::EFD_NONBLOCK).expect("an event"),
            resample: EventFd::new(libc::EFD_NONBLOCK).expect("an event"),
            vm,
            _ram: ram,
            cover: Memory::new(PAGE).expect("memory"),
            alone: plan.steps[1].is_empty(),
        }
    }

    fn set_up(&self, setup: &Setup, own: &Own) {
        let set = |group, attr, value| {
            self.attribute(Verb::Set, group, attr, value, None, own);
        };

        trace!("{setup:x?}");
        for _ in 0..setup.vcpus {
            self.create(None);
        }
        set(ext::GROUP, ext::ENABLE, setup.extensions.into());
        for &(attr, value) in &setup.config {
            set(KVM_DEV_RISCV_AIA_GRP_CONFIG, attr, value.into());
        }
        if setup.aplic {
            set(
                KVM_DEV_RISCV_AIA_GRP_ADDR,
                KVM_DEV_RISCV_AIA_ADDR_APLIC.into(),
                APLIC_BASE,
            );
        }
        for n in 0..setup.addresses as u64 {
            set(KVM_DEV_RISCV_AIA_GRP_ADDR, 1 + n, IMSIC_BASE + 0x1000 * n);
        }
        if setup.init {
            set(
                KVM_DEV_RISCV_AIA_GRP_CTRL,
                KVM_DEV_RISCV_AIA_CTRL_INIT.into(),
                0,
            );
        }
    }

    fn vcpu(&self, n: usize) -> Option<Arc<Vcpu>> {
        let vcpus = self.vcpus.read().expect("no panic");

        // More than the first few only for those that steps have created.
        vcpus.get(n % vcpus.len().max(1)).cloned()
    }

    fn step(&self, step: &Step, own: &Own) {
        match *step {
            Step::Attribute {
                verb,
                group,
                attr,
                value,
                short,
            } => self.attribute(verb, group, attr, value, short, own),
            Step::State { attr, ref changes } => self.state(attr, changes, own),
            Step::Create { id } => self.create((id != crate::plan::VCPUS as u64).then_some(id)),
            Step::Register {
                verb,
                vcpu,
                listed,
                number,
                value,
            } => {
                if let Some(vcpu) = self.vcpu(vcpu) {
                    let all = REGISTERS.get().map_or(&[][..], |all| all);
                    let id = number.or_else(|| Some(all[listed % all.len().max(1)]));

                    if let Some(id) = id {
                        self.register(&vcpu, verb, id, value, own);
                    }
                }
            }
            Step::MpState { vcpu, set } => {
                if let Some(vcpu) = self.vcpu(vcpu) {
                    let _ = judge(kind::MP_STATE, sys::mp_state(vcpu.fd, set));
                }
            }
            Step::Line { source, level } => {
                let _ = judge(
                    kind::LINE,
                    self.vm.set_irq_line(source, level).map_err(errno),
                );
            }
            Step::Msi { addr, data } => {
                let _ = judge(
                    kind::MSI,
                    self.vm
                        .signal_msi(kvm_msi {
                            address_lo: addr as u32,
                            address_hi: (addr >> 32) as u32,
                            data,
                            ..Default::default()
                        })
                        .map_err(errno),
                );
            }
            Step::Irqfd {
                gsi,
                resample,
                bind,
            } => {
                let answer = match (bind, resample) {
                    (true, true) => {
                        self.vm
                            .register_irqfd_with_resample(&self.event, &self.resample, gsi)
                    }
                    (true, false) => self.vm.register_irqfd(&self.event, gsi),
                    (false, _) => self.vm.unregister_irqfd(&self.event, gsi),
                };
                let _ = judge(kind::IRQFD, answer.map_err(errno));
            }
            Step::Signal => {
                let _ = self.event.write(1);
            }
            Step::Route { gsi, msi, pin } => self.route(gsi, msi, pin),
            Step::Run {
                vcpu,
                cpu: to,
                program,
                wake,
            } => {
                if to < 128 {
                    sys::pin(cpu(to));
                }
                if let Some(vcpu) = self.vcpu(vcpu) {
                    self.run(&vcpu, program, wake, own);
                }
            }
            Step::Pin { cpu: to } => sys::pin(cpu(to)),
            Step::Cover { on } => {
                let len = if on { PAGE } else { 0 };
                let _ = judge(kind::COVER, self.cover.attach(&self.vm, 1, IMSIC_BASE, len));
            }
            Step::Hotplug { cpu: n } => hotplug(n),
            Step::Close => drop(self.device.lock().expect("no panic").take()),
        }
    }

    fn create(&self, id: Option<u64>) {
        // The number of vCPUs is their next ID, whoever else creates one.
        let mut vcpus = self.vcpus.write().expect("no panic");

        if vcpus.len() == MOST_VCPUS {
            return;
        }
        let id = id.unwrap_or(vcpus.len() as u64);
        let created = judge(kind::CREATE, self.vm.create_vcpu(id).map_err(errno));

        if let Ok(vcpu) = created {
            REGISTERS.get_or_init(|| vmm::fixture::reg_list(&vcpu).expect("KVM_GET_REG_LIST"));
            vcpus.push(Arc::new(Vcpu {
                fd: vcpu.as_raw_fd(),
                run: Mutex::new(vcpu),
            }));
        }
    }

    fn attribute(
        &self,
        verb: Verb,
        group: u32,
        attr: u64,
        value: u64,
        short: Option<usize>,
        own: &Own,
    ) {
        let Some(device) = self.device.lock().expect("no panic").clone() else {
            return;
        };
        let kind = kind::ATTRIBUTE | (verb as u8) << 4 | group as u8 & 0xf;
        let addr = match short {
            Some(bytes) => own.scratch.before_end(bytes),
            None => own.scratch.start(),
        };

        own.scratch.write(0, &value.to_le_bytes());
        let answer = judge(
            kind,
            sys::attribute(device.as_raw_fd(), verb, group, attr, &own.scratch, addr),
        );

        // What was set reads back.
        let width = match group {
            KVM_DEV_RISCV_AIA_GRP_CONFIG => 4,
            KVM_DEV_RISCV_AIA_GRP_ADDR => 8,
            _ => return,
        };

        if answer.is_ok() && verb == Verb::Set && self.alone && short.is_none() {
            let value = own.scratch.read::<8>(0);

            own.scratch.write(0, &[0xff; 8]);
            let got = sys::attribute(
                device.as_raw_fd(),
                Verb::Get,
                group,
                attr,
                &own.scratch,
                addr,
            );

            assert!(
                got.is_ok() && own.scratch.read::<8>(0)[..width] == value[..width],
                "attribute {attr:#x} of group {group} was set to {value:x?}, reads {got:?} {:x?}",
                own.scratch.read::<8>(0)
            );
        }
    }

    fn state(&self, attr: u64, changes: &[(u16, u8)], own: &Own) {
        /// Version and size, and four more fields.
        const HEADER: usize = 24;
        let Some(device) = self.device.lock().expect("no panic").clone() else {
            return;
        };
        let call = |verb| {
            judge(
                kind::STATE | (verb as u8) << 4,
                sys::attribute(
                    device.as_raw_fd(),
                    verb,
                    ext::GROUP,
                    attr,
                    &own.scratch,
                    own.scratch.start(),
                ),
            )
        };
        let get = || {
            // Version 0 asks for the header, which has the size.
            own.scratch.write(0, &[0; HEADER]);
            call(Verb::Get)?;
            call(Verb::Get)
        };

        if get().is_err() {
            return;
        }
        let size = u32::from_le_bytes(own.scratch.read(4)) as usize;
        let before = own.scratch.read_vec(0, size.min(SCRATCH));

        for &(at, byte) in changes {
            own.scratch
                .write(usize::from(at) % before.len().max(1), &[byte]);
        }
        let set = call(Verb::Set);

        if changes.is_empty() && self.alone {
            assert!(
                set.is_ok(),
                "state {attr:#x} is refused as it was read: {set:?}"
            );
            let got = get();

            assert!(
                got.is_ok() && own.scratch.read_vec(0, before.len()) == before,
                "state {attr:#x} reads otherwise than it was set: {got:?}"
            );
        }
    }

    fn register(&self, vcpu: &Vcpu, verb: Verb, id: u64, value: u64, own: &Own) {
        // KVM writes all bits to vsstatus, which has to keep those that it has. QEMU (10.0) keeps any, and
        // takes them over into mstatus when a guest is entered: with TSR, TVM or TW the host dies.
        let value = match id == csr(CSR_SSTATUS) {
            true => value & SSTATUS | SSTATUS_UXL_64,
            false => value,
        };

        own.scratch.write(0, &value.to_le_bytes());
        let _ = judge(
            kind::REGISTER | (verb as u8) << 4,
            sys::one_reg(vcpu.fd, verb, id, &own.scratch, own.scratch.start()),
        );
    }

    fn route(&self, gsi: u32, msi: Option<(u64, u32)>, pin: u32) {
        let mut entry = kvm_irq_routing_entry {
            gsi,
            ..Default::default()
        };

        match msi {
            Some((addr, data)) => {
                entry.type_ = KVM_IRQ_ROUTING_MSI;
                entry.u.msi = kvm_irq_routing_msi {
                    address_lo: addr as u32,
                    address_hi: (addr >> 32) as u32,
                    data,
                    ..Default::default()
                };
            }
            None => {
                entry.type_ = KVM_IRQ_ROUTING_IRQCHIP;
                entry.u.irqchip = kvm_irq_routing_irqchip { irqchip: 0, pin };
            }
        }
        let routing = KvmIrqRouting::from_entries(&[entry]).expect("one route");
        let _ = judge(
            kind::ROUTE,
            self.vm.set_gsi_routing(&routing).map_err(errno),
        );
    }

    /// Runs a program, as far as it comes.
    fn run(&self, vcpu: &Vcpu, program: usize, wake: bool, own: &Own) {
        // Somebody runs it already.
        let Ok(mut fd) = vcpu.run.try_lock() else {
            return;
        };
        let base = RAM_BASE + (program * code::SIZE) as u64;
        let number =
            |kind: u32, index| KVM_REG_RISCV as u64 | KVM_REG_SIZE_U64 | u64::from(kind) | index;
        let core = |index| number(KVM_REG_RISCV_CORE, index);

        for (id, value) in [
            (core(0), base + code::ENTRY),
            // s0, see kvm_riscv_core.
            (core(8), base + code::OPERANDS as u64),
            (csr(CSR_STVEC), base),
        ] {
            self.register(vcpu, Verb::Set, id, value, own);
        }
        if wake {
            let _ = judge(
                kind::MP_STATE,
                sys::mp_state(vcpu.fd, Some(KVM_MP_STATE_RUNNABLE)),
            );
        }
        own.alarm.set(PATIENCE);
        for _ in 0..EXITS {
            if !exit(&mut fd) {
                break;
            }
        }
        own.alarm.set(Duration::ZERO);
    }
}

/// Enters the guest and answers its exit; gives whether it may go on.
fn exit(fd: &mut VcpuFd) -> bool {
    let exit = match judge(kind::RUN, fd.run().map_err(errno)) {
        Ok(exit) => exit,
        Err(_) => return false,
    };

    match exit {
        VcpuExit::MmioWrite(code::DOORBELL, _) => false,
        VcpuExit::MmioWrite(_, _) => {
            coverage::answered(kind::EXIT, 1);
            true
        }
        VcpuExit::MmioRead(_, data) => {
            coverage::answered(kind::EXIT, 2);
            data.fill(0xa5);
            true
        }
        VcpuExit::Unsupported(KVM_EXIT_RISCV_CSR) => {
            coverage::answered(kind::EXIT, 3);
            sys::answer_csr(fd.get_kvm_run(), 0xa5);
            true
        }
        VcpuExit::Unsupported(KVM_EXIT_RISCV_SBI) => {
            coverage::answered(kind::EXIT, 4);
            sys::answer_sbi(fd.get_kvm_run(), [0, 0]);
            true
        }
        VcpuExit::FailEntry(reason, _) => {
            coverage::answered(kind::EXIT, 0x100 + reason as i32);
            false
        }
        VcpuExit::SystemEvent(event, _) => {
            coverage::answered(kind::EXIT, 0x200 + event as i32);
            false
        }
        VcpuExit::Intr => false,
        other => panic!("KVM_RUN left the guest for {other:?}"),
    }
}

/// Takes a CPU offline and online again, not the first one.
fn hotplug(n: usize) {
    let cpus = CPUS.get().map_or(1, Vec::len);

    if cpus < 2 {
        return;
    }
    let cpu = cpu(1 + n % (cpus - 1));
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/online");

    for online in ["0", "1"] {
        let _ = fs::write(&path, online);
    }
    if is_traced() {
        trace!("CPU {cpu} was away");
    }
}
