// SPDX-License-Identifier: GPL-2.0

//! What an input says: a machine, and what two threads do to it.
//!
//! Any bytes are a plan. Most of what they choose from is legal or nearly so, as what is refused at the
//! door reaches nothing.

use crate::{
    code::{
        self,
        Access,
        Instruction, //
    },
    input::Input,
    sys::Verb,
};
use kvm_bindings::*;
use vmm::{
    abi::{
        APLIC_BASE,
        IMSIC_BASE,
        RAM_BASE, //
    },
    ext,
    regs::{
        aplic,
        imsic, //
    }, //
};

/// As many vCPUs as a machine gets.
pub const VCPUS: usize = 4;
/// As many steps as an input has.
const STEPS: usize = 200;
/// Programs of an input.
const PROGRAMS: usize = 16;

/// How the machine is set up before the steps.
#[derive(Clone, Debug)]
pub struct Setup {
    /// vCPUs at first.
    pub vcpus: usize,
    /// KVM_DEV_RISCV_AIA_CONFIG_*, and values.
    pub config: Vec<(u64, u32)>,
    /// [`ext::ENABLE`]
    pub extensions: u32,
    /// Whether there is an APLIC.
    pub aplic: bool,
    /// vCPUs whose interrupt files have addresses.
    pub addresses: usize,
    /// Whether it is initialised.
    pub init: bool,
}

/// What a thread does.
#[derive(Clone, Debug)]
pub enum Step {
    /// A system call on an attribute of the device.
    Attribute {
        verb: Verb,
        group: u32,
        attr: u64,
        value: u64,
        /// Memory of only so many bytes.
        short: Option<usize>,
    },
    /// Reads a state, changes bytes of it, and sets it.
    State { attr: u64, changes: Vec<(u16, u8)> },
    /// Creates a vCPU.
    Create { id: u64 },
    /// A system call on a register of a vCPU, by its place in the list of all, or by number.
    Register {
        verb: Verb,
        vcpu: usize,
        listed: usize,
        number: Option<u64>,
        value: u64,
    },
    /// Sets the state of a vCPU, or reads it.
    MpState { vcpu: usize, set: Option<u32> },
    /// Raises or lowers a line.
    Line { source: u32, level: bool },
    /// Sends an MSI.
    Msi { addr: u64, data: u32 },
    /// Binds an event to a line, or takes it back.
    Irqfd {
        gsi: u32,
        resample: bool,
        bind: bool,
    },
    /// Signals that event.
    Signal,
    /// Routes a number to a source, or to an MSI.
    Route {
        gsi: u32,
        msi: Option<(u64, u32)>,
        pin: u32,
    },
    /// Runs a program on a vCPU.
    Run {
        vcpu: usize,
        cpu: usize,
        program: usize,
        wake: bool,
    },
    /// Lets the thread run elsewhere.
    Pin { cpu: usize },
    /// Puts memory over the interrupt files, or takes it away.
    Cover { on: bool },
    /// Takes a CPU offline and online again.
    Hotplug { cpu: usize },
    /// Closes the device.
    Close,
}

/// A whole input.
#[derive(Clone, Debug)]
pub struct Plan {
    pub setup: Setup,
    /// Of the thread whose coverage counts, and of the other one.
    pub steps: [Vec<Step>; 2],
    pub programs: Vec<Vec<Instruction>>,
}

impl Plan {
    /// What `data` says.
    pub fn new(data: &[u8]) -> Self {
        let mut input = Input::new(data);
        let mut plan = Self {
            setup: setup(&mut input),
            steps: [Vec::new(), Vec::new()],
            programs: Vec::new(),
        };
        // Some things can be checked only if there is one thread.
        let others = usize::from(input.flag());
        let mut away = false;

        for _ in 0..STEPS {
            if input.is_empty() {
                break;
            }
            let kind = input.u8();
            let mut step = plan.step(kind & 0x7f, &mut input);

            // That takes as long as all else together.
            if matches!(step, Step::Hotplug { .. }) && std::mem::replace(&mut away, true) {
                step = Step::Signal;
            }

            plan.steps[usize::from(kind >> 7) * others].push(step);
        }
        plan
    }

    fn step(&mut self, kind: u8, input: &mut Input<'_>) -> Step {
        let vcpu = input.below(VCPUS as u32) as usize;

        match kind {
            0..=23 => attribute(input),
            24..=29 => Step::State {
                attr: match input.below(4) {
                    0 => ext::SNAPSHOT,
                    1 => ext::APLIC_STATE,
                    _ => ext::imsic_state(vcpu as u64),
                },
                changes: (0..input.below(4))
                    .map(|_| (input.u16(), input.u8()))
                    .collect(),
            },
            30..=33 => Step::Create {
                id: match input.u8() {
                    0 => input.u64(),
                    n @ 1..=15 => n.into(),
                    _ => VCPUS as u64,
                },
            },
            34..=47 => Step::Register {
                verb: verb(input),
                vcpu,
                listed: input.u16().into(),
                number: (input.u8() == 0).then(|| input.u64()),
                value: input.mask(),
            },
            48..=53 => Step::MpState {
                vcpu,
                set: match input.u8() {
                    n @ 0..=15 => Some(n.into()),
                    16..=63 => None,
                    64..=127 => Some(KVM_MP_STATE_INIT_RECEIVED),
                    128..=159 => Some(KVM_MP_STATE_STOPPED),
                    _ => Some(KVM_MP_STATE_RUNNABLE),
                },
            },
            54..=65 => Step::Line {
                source: input.word() % 130,
                level: input.flag(),
            },
            66..=75 => Step::Msi {
                addr: message(vcpu, input),
                data: input.word(),
            },
            76..=80 => Step::Irqfd {
                gsi: input.word() % 130,
                resample: input.flag(),
                bind: input.flag(),
            },
            81..=83 => Step::Signal,
            84..=86 => Step::Route {
                gsi: input.word() % 130,
                msi: input.flag().then(|| (message(vcpu, input), input.word())),
                pin: input.word() % 130,
            },
            87..=117 => {
                if self.programs.len() < PROGRAMS && (self.programs.is_empty() || input.flag()) {
                    self.programs.push(program(input));
                }
                Step::Run {
                    vcpu,
                    cpu: input.u8().into(),
                    program: self.programs.len() - 1,
                    wake: input.u8() < 200,
                }
            }
            118..=121 => Step::Pin {
                cpu: input.u8().into(),
            },
            122..=123 => Step::Cover { on: input.flag() },
            124 => Step::Hotplug {
                cpu: input.u8().into(),
            },
            125 => Step::Close,
            _ => Step::Attribute {
                verb: verb(input),
                group: input.word(),
                attr: input.u64(),
                value: input.u64(),
                short: None,
            },
        }
    }
}

fn setup(input: &mut Input<'_>) -> Setup {
    let vcpus = match input.u8() {
        0..=7 => 0,
        n => 1 + usize::from(n) % VCPUS,
    };
    let modes = [
        KVM_DEV_RISCV_AIA_MODE_EMUL,
        KVM_DEV_RISCV_AIA_MODE_AUTO,
        KVM_DEV_RISCV_AIA_MODE_HWACCEL,
    ];
    let mut config = vec![
        (KVM_DEV_RISCV_AIA_CONFIG_MODE, input.one_of(&modes)),
        (
            KVM_DEV_RISCV_AIA_CONFIG_IDS,
            input.one_of(&[63, 127, 255, 1023, 2047]),
        ),
        (
            KVM_DEV_RISCV_AIA_CONFIG_SRCS,
            input.one_of(&[0, 1, 31, 32, 33, 96, 1023]),
        ),
        (KVM_DEV_RISCV_AIA_CONFIG_HART_BITS, input.one_of(&[2, 3, 1])),
        (KVM_DEV_RISCV_AIA_CONFIG_GUEST_BITS, 0),
        (KVM_DEV_RISCV_AIA_CONFIG_GROUP_BITS, 0),
    ];

    // Other numbers now and then.
    for _ in 0..input.u8().saturating_sub(250) {
        let at = input.below(config.len() as u32) as usize;

        config[at].1 = input.word();
    }
    let odd = input.u8();

    Setup {
        vcpus,
        config: config
            .into_iter()
            .map(|(attr, value)| (attr.into(), value))
            .collect(),
        extensions: input.below(8),
        aplic: odd & 1 == 0,
        addresses: if odd & 6 == 6 {
            vcpus.saturating_sub(1)
        } else {
            vcpus
        },
        init: odd & 0x38 != 0x38,
    }
}

fn verb(input: &mut Input<'_>) -> Verb {
    input.one_of(&[Verb::Set, Verb::Get, Verb::Set, Verb::Get, Verb::Has])
}

/// Where MSIs go to: mostly an interrupt file.
fn message(vcpu: usize, input: &mut Input<'_>) -> u64 {
    let page = IMSIC_BASE + 0x1000 * vcpu as u64;

    match input.u8() {
        0..=199 => page,
        200..=229 => page + 4,
        230..=239 => page + u64::from(input.u16()),
        _ => input.u64(),
    }
}

fn aplic_offset(input: &mut Input<'_>) -> u32 {
    let n = input.word() % 40;

    match input.u8() % 20 {
        0 | 1 => aplic::DOMAINCFG,
        2..=5 => aplic::SOURCECFG + 4 * n,
        6..=8 => aplic::TARGET + 4 * n,
        9 => aplic::SETIP + 4 * (n % 4),
        10 => aplic::IN_CLRIP + 4 * (n % 4),
        11 => aplic::SETIE + 4 * (n % 4),
        12 => aplic::CLRIE + 4 * (n % 4),
        13 => aplic::SETIPNUM,
        14 => aplic::CLRIPNUM,
        15 => aplic::SETIENUM,
        16 => aplic::CLRIENUM,
        17 => input.one_of(&[aplic::SETIPNUM_LE, aplic::SETIPNUM_BE]),
        18 => aplic::GENMSI,
        _ => input.u16().into(),
    }
}

/// What is written to an APLIC.
fn aplic_value(input: &mut Input<'_>) -> u32 {
    match input.u8() {
        0..=31 => aplic::IE,
        32..=63 => input.below(8),
        64..=95 => u32::from(input.u8() % VCPUS as u8) << 18 | input.word(),
        _ => input.word(),
    }
}

/// The number of a register of an interrupt file.
fn select(input: &mut Input<'_>) -> u32 {
    match input.u8() {
        0..=39 => imsic::EIDELIVERY,
        40..=79 => imsic::EITHRESHOLD,
        80..=139 => imsic::EIP0 + u32::from(input.u8() % 64),
        140..=199 => imsic::EIE0 + u32::from(input.u8() % 64),
        // Priorities, which are none here.
        200..=219 => 0x30 + u32::from(input.u8() % 16),
        220..=239 => input.u8().into(),
        _ => input.u32(),
    }
}

fn attribute(input: &mut Input<'_>) -> Step {
    let verb = verb(input);
    let short = (input.u8() >= 240).then(|| usize::from(input.u8() % 32));
    let vcpu = u64::from(input.u8() % (VCPUS as u8 + 1));
    let (group, attr, value) = match input.u8() {
        0..=39 => (
            KVM_DEV_RISCV_AIA_GRP_CONFIG,
            u64::from(input.u8() % 8),
            u64::from(input.word()),
        ),
        40..=79 => (
            KVM_DEV_RISCV_AIA_GRP_ADDR,
            u64::from(input.u8() % (VCPUS as u8 + 2)),
            match input.u8() {
                0..=199 => IMSIC_BASE + 0x1000 * vcpu,
                200..=219 => APLIC_BASE,
                _ => input.mask(),
            },
        ),
        80..=95 => (KVM_DEV_RISCV_AIA_GRP_CTRL, u64::from(input.u8() % 2), 0),
        96..=159 => (
            KVM_DEV_RISCV_AIA_GRP_APLIC,
            aplic_offset(input).into(),
            aplic_value(input).into(),
        ),
        160..=229 => (
            KVM_DEV_RISCV_AIA_GRP_IMSIC,
            vcpu << KVM_DEV_RISCV_AIA_IMSIC_ISEL_BITS | u64::from(select(input)),
            input.mask(),
        ),
        _ => (ext::GROUP, input.one_of(&[0, 0, 1, 2]), input.word().into()),
    };

    Step::Attribute {
        verb,
        group,
        attr,
        value,
        short,
    }
}

fn access(input: &mut Input<'_>) -> Access {
    input.one_of(&[Access::Write, Access::Set, Access::Clear])
}

fn program(input: &mut Input<'_>) -> Vec<Instruction> {
    let length = input.below(code::MOST as u32) + 1;

    (0..length).map(|_| instruction(input)).collect()
}

fn instruction(input: &mut Input<'_>) -> Instruction {
    /// CSRs of the AIA, of interrupts and traps, and some that are none of a guest's.
    const CSRS: [u32; 22] = [
        0x150, 0x151, 0x15c, 0x15c, 0xdb0, 0x104, 0x104, 0x144, 0x100, 0x100, 0x106, 0x14d, 0x114,
        0x154, 0x214, 0x250, 0x251, 0x25c, 0xeb0, 0x612, 0xe12, 0x120,
    ];
    /// Extensions of the SBI: the base, HSM as the most useful, IPI, RFENCE and TIME.
    const SBI: [u64; 6] = [
        0x10,
        0x0048_534d,
        0x0048_534d,
        0x0073_5049,
        0x5246_4e43,
        0x5449_4d45,
    ];
    let vcpu = usize::from(input.u8() % VCPUS as u8);

    match input.u8() {
        0..=59 => {
            let offset = aplic_offset(input);

            if input.flag() {
                Instruction::Load {
                    addr: APLIC_BASE + u64::from(offset),
                    size: if input.u8() < 230 { 2 } else { input.below(4) },
                }
            } else {
                Instruction::Store {
                    addr: APLIC_BASE + u64::from(offset),
                    value: aplic_value(input).into(),
                    size: if input.u8() < 230 { 2 } else { input.below(4) },
                }
            }
        }
        60..=104 => Instruction::Store {
            addr: message(vcpu, input),
            value: input.word().into(),
            size: if input.u8() < 230 { 2 } else { input.below(4) },
        },
        105..=109 => Instruction::Load {
            addr: message(vcpu, input),
            size: input.below(4),
        },
        110..=159 => Instruction::Register {
            select: select(input).into(),
            access: access(input),
            value: input.mask(),
        },
        160..=209 => Instruction::Csr {
            number: input.one_of(&CSRS),
            access: access(input),
            value: input.mask(),
        },
        210..=219 => Instruction::Csr {
            number: input.u16().into(),
            access: access(input),
            value: input.mask(),
        },
        220..=234 => Instruction::Wait,
        _ => {
            let extension = input.one_of(&SBI);

            Instruction::Sbi {
                extension,
                function: input.u8() % 8,
                args: [
                    u64::from(input.u8() % 8),
                    match input.u8() {
                        0..=199 => RAM_BASE + code::ENTRY,
                        _ => input.mask(),
                    },
                    input.u8().into(),
                ],
            }
        }
    }
}
