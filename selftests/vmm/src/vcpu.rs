// SPDX-License-Identifier: GPL-2.0

//! A vCPU and the thread that runs it.

mod state;

pub(crate) use state::VcpuState;

use crate::{
    abi::{
        APLIC_BASE,
        DOORBELL,
        DOORBELL_FAULT,
        IMSIC_BASE, //
    },
    bus::Bus,
    fixture,
    stats::StatsFile,
    sys,
    Context,
    Error,
    Result, //
};
use kvm_bindings::{
    kvm_mp_state,
    KVM_EXIT_RISCV_CSR,
    KVM_EXIT_RISCV_SBI,
    KVM_MP_STATE_INIT_RECEIVED,
    KVM_MP_STATE_RUNNABLE,
    KVM_MP_STATE_STOPPED,
    KVM_REG_RISCV,
    KVM_REG_RISCV_CORE,
    KVM_REG_RISCV_SBI_EXT,
    KVM_REG_SIZE_U64,
    KVM_RISCV_SBI_EXT_ID_KVM_RISCV_SBI_EXT_DBCN,
    KVM_RISCV_SBI_EXT_ID_KVM_RISCV_SBI_EXT_SUSP, //
};
use kvm_ioctls::{
    VcpuExit,
    VcpuFd, //
};
use std::{
    io,
    os::fd::{
        AsRawFd,
        RawFd, //
    },
    sync::{
        atomic::{
            AtomicBool,
            AtomicI32,
            AtomicU64,
            Ordering, //
        },
        Arc,
        Once,
        OnceLock, //
    },
    thread::{
        self,
        sleep,
        JoinHandle, //
    },
    time::Duration,
};
use vmm_sys_util::signal::{
    block_signal,
    clear_signal,
    register_signal_handler,
    unblock_signal,
    Killable, //
};

/// Indices in `struct kvm_riscv_core`.
const CORE_PC: u64 = 0;
const CORE_A0: u64 = 10;
const CORE_A1: u64 = 11;

const SBI_EXT_DBCN: u64 = 0x4442_434e;
const SBI_EXT_SUSP: u64 = 0x5355_5350;
const SBI_DBCN_WRITE_BYTE: u64 = 2;
const SBI_ERR_NOT_SUPPORTED: i64 = -2;

/// Size of what is around the interrupt controllers in the guest's address space.
const WINDOW: u64 = 0x10_0000;

/// hardware_entry_failure_reason of a vCPU that found no guest file.
pub const NO_VSFILE: u64 = 1;

/// Why a vCPU does not run any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// KVM_EXIT_FAIL_ENTRY.
    FailEntry {
        /// hardware_entry_failure_reason
        reason: u64,
        /// The CPU on which entry failed.
        cpu: u32,
    },
    /// KVM_EXIT_SYSTEM_EVENT with its type.
    SystemEvent(u32),
    /// The guest has asked the SBI to let the system sleep: it wakes up when the vCPU runs again.
    SystemSuspend,
    /// The VMM asked for it.
    Stopped,
    /// The guest took a trap that it did not expect.
    GuestTrap,
    /// KVM_RUN failed with this errno.
    RunFailed(i32),
    /// Anything else.
    Failed(String),
}

/// An access that KVM left to user space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// A load from guest-physical memory.
    Load {
        /// Its address.
        addr: u64,
        /// Its size in bytes.
        size: usize,
    },
    /// A store.
    Store {
        /// Its address.
        addr: u64,
        /// Its size in bytes.
        size: usize,
    },
    /// An instruction that accesses this CSR.
    Csr(u64),
}

/// Each byte that a lenient VMM answers.
const ANSWER: u8 = 0xa5;

/// What the guest reads in `size` bytes, or in a CSR, where KVM leaves that to a
/// lenient VMM: nothing that KVM itself would answer.
pub fn answer(size: usize) -> u64 {
    (0..size).fold(0, |value, _| (value << 8) | u64::from(ANSWER))
}

/// What all vCPUs tell about exits to the VMM.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    /// Stores to the doorbell.
    pub(crate) doorbell: AtomicU64,
    /// Bytes that the guest wrote to the SBI console.
    pub(crate) console: std::sync::Mutex<Vec<u8>>,
    /// Whether what KVM leaves to user space of the interrupt controllers cannot be
    /// written, reads as [`answer`], and is noted. It ends the vCPU otherwise.
    pub(crate) lenient: bool,
    /// Whether KVM_RUN is called again when there is no room to map something.
    pub(crate) stubborn: bool,
    /// How often it was.
    pub(crate) failures: AtomicU64,
    /// What was left so far.
    pub(crate) left: std::sync::Mutex<Vec<Left>>,
    /// Devices of the VMM, which are asked first.
    pub(crate) bus: OnceLock<Box<dyn Bus>>,
}

impl Devices {
    /// Notes an access; false if it is none to expect.
    fn leave(&self, access: Left) -> bool {
        let known = match access {
            Left::Load { addr, .. } | Left::Store { addr, .. } => {
                (APLIC_BASE..APLIC_BASE + WINDOW).contains(&addr)
                    || (IMSIC_BASE - WINDOW..IMSIC_BASE + WINDOW).contains(&addr)
            }
            Left::Csr(_) => true,
        };

        if self.lenient && known {
            if let Ok(mut left) = self.left.lock() {
                left.push(access);
            }
        }
        self.lenient && known
    }

    fn load(&self, addr: u64, data: &mut [u8]) -> bool {
        self.bus.get().is_some_and(|bus| bus.load(addr, data))
    }

    fn store(&self, addr: u64, data: &[u8]) -> bool {
        self.bus.get().is_some_and(|bus| bus.store(addr, data))
    }
}

/// How a vCPU starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// The first instruction.
    pub(crate) pc: u64,
    /// The second argument; the first is the vCPU's index.
    pub(crate) arg: u64,
    /// Whether another vCPU starts it, by the SBI.
    pub(crate) waits: bool,
}

#[derive(Debug)]
struct Running {
    thread: JoinHandle<VcpuFd>,
    /// Set before the thread ends.
    end: Arc<OnceLock<End>>,
    tid: Arc<AtomicI32>,
    stop: Arc<AtomicBool>,
}

#[derive(Debug)]
enum State {
    Idle(VcpuFd),
    Running(Running),
    /// Only while it changes, or after the thread panicked.
    Gone,
}

/// One vCPU.
#[derive(Debug)]
pub(crate) struct Vcpu {
    index: usize,
    /// Of whoever has the vCPU, which is kept as long as this.
    raw: RawFd,
    entry: Entry,
    state: State,
    stats: StatsFile,
    devices: Arc<Devices>,
}

extern "C" fn on_kick(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}

fn set_reg(fd: &VcpuFd, kind: u64, index: u64, value: u64) -> Result<()> {
    let id = KVM_REG_RISCV as u64 | KVM_REG_SIZE_U64 | kind | index;

    fixture::set_reg(fd, id, value).context(format!("KVM_SET_ONE_REG {id:#x}"))
}

impl Vcpu {
    /// Sets up `fd` to start at `entry`.
    pub(crate) fn new(
        fd: VcpuFd,
        index: usize,
        entry: Entry,
        devices: Arc<Devices>,
    ) -> Result<Self> {
        static HANDLER: Once = Once::new();
        let mut handler = Ok(());

        HANDLER.call_once(|| handler = register_signal_handler(sys::kick_signal(), on_kick));
        handler.context("signal handler")?;
        let stats = StatsFile::new(sys::stats_fd(&fd).context("KVM_GET_STATS_FD")?)?;

        // KVM offers the debug console, and the sleep of the system, only if it is asked to.
        for extension in [
            KVM_RISCV_SBI_EXT_ID_KVM_RISCV_SBI_EXT_DBCN,
            KVM_RISCV_SBI_EXT_ID_KVM_RISCV_SBI_EXT_SUSP,
        ] {
            set_reg(&fd, u64::from(KVM_REG_RISCV_SBI_EXT), extension.into(), 1)?;
        }
        // KVM leaves all but the first off, for SBI HSM to start.
        fd.set_mp_state(kvm_mp_state {
            mp_state: if entry.waits {
                KVM_MP_STATE_STOPPED
            } else {
                KVM_MP_STATE_RUNNABLE
            },
        })
        .context("KVM_SET_MP_STATE")?;
        let new = Self {
            index,
            raw: fd.as_raw_fd(),
            entry,
            state: State::Idle(fd),
            stats,
            devices,
        };

        new.set_entry()?;
        Ok(new)
    }

    /// What it is while it does not run.
    pub(crate) fn idle(&self) -> Result<&VcpuFd> {
        match &self.state {
            State::Idle(fd) => Ok(fd),
            _ => Err(Error::new(format!("vCPU {} runs", self.index))),
        }
    }

    /// Lets it begin at its entry.
    fn set_entry(&self) -> Result<()> {
        let fd = self.idle()?;
        let core = KVM_REG_RISCV_CORE.into();

        set_reg(fd, core, CORE_PC, self.entry.pc)?;
        set_reg(fd, core, CORE_A0, self.index as u64)?;
        set_reg(fd, core, CORE_A1, self.entry.arg)
    }

    /// Resets it, or says why KVM does not; it does not run.
    pub(crate) fn try_reset(&self) -> Result<io::Result<()>> {
        let reset = self.idle()?.set_mp_state(kvm_mp_state {
            mp_state: KVM_MP_STATE_INIT_RECEIVED,
        });

        Ok(reset.map_err(fixture::errno))
    }

    /// Resets it; it does not run.
    pub(crate) fn reset(&self) -> Result<()> {
        self.try_reset()?.context("KVM_MP_STATE_INIT_RECEIVED")?;
        self.set_entry()
    }

    /// See [`crate::Guest::set_stopped`].
    pub(crate) fn set_stopped(&self, stopped: bool) -> Result<()> {
        let mp_state = if stopped {
            KVM_MP_STATE_STOPPED
        } else {
            KVM_MP_STATE_RUNNABLE
        };

        self.idle()?
            .set_mp_state(kvm_mp_state { mp_state })
            .context("KVM_SET_MP_STATE")
    }

    /// Lets KVM finish what the VMM has answered, so that the registers tell all. It does not run.
    pub(crate) fn settle(&mut self) -> Result<()> {
        let State::Idle(fd) = &mut self.state else {
            return Err(Error::new(format!("vCPU {} runs", self.index)));
        };

        fd.set_kvm_immediate_exit(1);
        let left = match fd.run() {
            Err(e) if e.errno() == libc::EINTR => Ok(()),
            other => Err(Error::new(format!("KVM_RUN for no time: {other:?}"))),
        };

        fd.set_kvm_immediate_exit(0);
        left
    }

    /// See [`crate::Guest::nearly_run`].
    pub(crate) fn nearly_run(&mut self) -> Result<()> {
        let State::Idle(fd) = &mut self.state else {
            return Err(Error::new(format!("vCPU {} runs", self.index)));
        };
        let signal = sys::kick_signal();

        block_signal(signal).context("blocking a signal")?;
        sys::let_signals_in(fd, true).context("KVM_SET_SIGNAL_MASK")?;
        sys::raise(signal).context("a signal")?;
        let left = match fd.run() {
            Err(e) if e.errno() == libc::EINTR => Ok(()),
            other => Err(Error::new(format!("KVM_RUN with a signal: {other:?}"))),
        };

        sys::let_signals_in(fd, false).context("KVM_SET_SIGNAL_MASK")?;
        clear_signal(signal).context("a signal")?;
        unblock_signal(signal).context("a signal")?;
        left
    }

    /// Raises or lowers its external interrupt.
    pub(crate) fn interrupt(&self, level: bool) -> Result<()> {
        sys::interrupt(self.raw, level).context("KVM_INTERRUPT")
    }

    pub(crate) fn stats(&self) -> Result<crate::Stats> {
        self.stats.read()
    }

    /// Runs it in a thread of its own, on `cpus` (none: on any).
    pub(crate) fn start(&mut self, cpus: &[usize]) -> Result<()> {
        let mut fd = match std::mem::replace(&mut self.state, State::Gone) {
            State::Idle(fd) => fd,
            other => {
                self.state = other;
                return Err(Error::new(format!("vCPU {} runs already", self.index)));
            }
        };
        let tid = Arc::new(AtomicI32::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let end = Arc::new(OnceLock::new());
        let (e, t, s) = (end.clone(), tid.clone(), stop.clone());
        let devices = self.devices.clone();
        let cpus = cpus.to_vec();
        let thread = thread::Builder::new()
            .name(format!("vcpu{}", self.index))
            .spawn(move || {
                let affinity = if cpus.is_empty() {
                    Ok(())
                } else {
                    sys::set_affinity(0, &cpus)
                };

                t.store(sys::gettid(), Ordering::Release);
                let _ = e.set(match affinity {
                    Ok(()) => run(&mut fd, &s, &devices),
                    Err(e) => End::Failed(format!("affinity {cpus:?}: {e}")),
                });
                fd
            })
            .context("vCPU thread")?;

        while tid.load(Ordering::Acquire) == 0 && !thread.is_finished() {
            // Not to the thread alone: the caller may be more urgent than it.
            sleep(Duration::from_micros(20));
        }
        self.state = State::Running(Running {
            thread,
            end,
            tid,
            stop,
        });
        Ok(())
    }

    /// Restricts the running vCPU to `cpus`.
    pub(crate) fn pin(&self, cpus: &[usize]) -> Result<()> {
        match &self.state {
            State::Running(r) => sys::set_affinity(r.tid.load(Ordering::Acquire), cpus)
                .context(format!("moving vCPU {} to CPU {cpus:?}", self.index)),
            _ => Err(Error::new(format!("vCPU {} does not run", self.index))),
        }
    }

    /// Why it does not run any more, or none while it does.
    pub(crate) fn end(&self) -> Option<End> {
        match &self.state {
            State::Running(r) => r.end.get().cloned(),
            _ => Some(End::Stopped),
        }
    }

    /// Waits for the end of its thread.
    pub(crate) fn join(&mut self) -> Result<End> {
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Running(r) => {
                let fd = r
                    .thread
                    .join()
                    .map_err(|_| Error::new(format!("thread of vCPU {} panicked", self.index)))?;

                self.state = State::Idle(fd);
                Ok(r.end.get().cloned().unwrap_or(End::Stopped))
            }
            other => {
                self.state = other;
                Err(Error::new(format!("vCPU {} does not run", self.index)))
            }
        }
    }

    /// Stops it; does nothing if it does not run.
    pub(crate) fn stop(&mut self) -> Result<End> {
        let State::Running(r) = &self.state else {
            return Ok(End::Stopped);
        };

        r.stop.store(true, Ordering::Release);
        // A signal before KVM_RUN is lost, hence more than one.
        while !r.thread.is_finished() {
            let _ = r.thread.kill(sys::kick_signal());
            sleep(Duration::from_millis(2));
        }
        self.join()
    }
}

impl Drop for Vcpu {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

fn run(fd: &mut VcpuFd, stop: &AtomicBool, devices: &Devices) -> End {
    while !stop.load(Ordering::Acquire) {
        let exit = match fd.run() {
            Ok(exit) => exit,
            Err(e) if e.errno() == libc::EINTR || e.errno() == libc::EAGAIN => continue,
            Err(e) if devices.stubborn && matches!(e.errno(), libc::EEXIST | libc::ENOMEM) => {
                devices.failures.fetch_add(1, Ordering::AcqRel);
                continue;
            }
            Err(e) => return End::RunFailed(e.errno()),
        };

        match exit {
            VcpuExit::MmioWrite(DOORBELL_FAULT, _) => return End::GuestTrap,
            VcpuExit::MmioWrite(DOORBELL, _) => {
                devices.doorbell.fetch_add(1, Ordering::AcqRel);
            }
            VcpuExit::MmioRead(DOORBELL, data) => data.fill(0),
            VcpuExit::MmioRead(addr, data) => {
                let size = data.len();

                data.fill(0);
                if !devices.load(addr, data) {
                    if !devices.leave(Left::Load { addr, size }) {
                        return End::Failed(format!("load of {size} bytes at {addr:#x}"));
                    }
                    data.fill(ANSWER);
                }
            }
            VcpuExit::MmioWrite(addr, data) => {
                let size = data.len();

                if !devices.store(addr, data) && !devices.leave(Left::Store { addr, size }) {
                    return End::Failed(format!("store of {size} bytes at {addr:#x}"));
                }
            }
            VcpuExit::FailEntry(reason, cpu) => return End::FailEntry { reason, cpu },
            VcpuExit::SystemEvent(kind, _) => return End::SystemEvent(kind),
            VcpuExit::Intr => (),
            VcpuExit::Unsupported(KVM_EXIT_RISCV_SBI) => {
                if let Some(end) = sbi(fd, devices) {
                    return end;
                }
            }
            VcpuExit::Unsupported(KVM_EXIT_RISCV_CSR) => {
                let number = sys::answer_csr(fd.get_kvm_run(), answer(8));

                if !devices.leave(Left::Csr(number)) {
                    return End::Failed(format!("access to CSR {number:#x}"));
                }
            }
            other => return End::Failed(format!("unexpected exit {other:?}")),
        }
    }
    End::Stopped
}

/// Answers an SBI call that KVM left to user space; or says why the vCPU does not run any more.
fn sbi(fd: &mut VcpuFd, devices: &Devices) -> Option<End> {
    let run = fd.get_kvm_run();
    let ret = match sys::sbi_call(run) {
        (SBI_EXT_SUSP, ..) => return Some(End::SystemSuspend),
        (SBI_EXT_DBCN, SBI_DBCN_WRITE_BYTE, args) => {
            if let Ok(mut console) = devices.console.lock() {
                console.push(args[0] as u8);
            }
            [0, 0]
        }
        _ => [SBI_ERR_NOT_SUPPORTED as u64, 0],
    };

    sys::set_sbi_ret(run, ret);
    None
}
