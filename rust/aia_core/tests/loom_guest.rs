// SPDX-License-Identifier: GPL-2.0

//! Who moves the state of a vCPU's interrupt file, model-checked: in every interleaving, no MSI is
//! lost and nobody touches a vCPU that is gone.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --test loom_guest`

#![cfg(loom)]

use aia_core::{
    guest::{
        binding::{
            Begin,
            Binding,
            BoundTo,
            GuestFile,
            Release, //
        },
        hgei::Lines, //
    },
    ids::{
        Cpu,
        Hgei, //
    },
    word::Word, //
};
use loom::{
    cell::UnsafeCell,
    sync::{
        Arc,
        Mutex, //
    },
    thread, //
};

/// An owned guest file; its number is that of its CPU.
#[derive(Debug)]
struct File(u32, Hgei);

impl GuestFile for File {
    fn cpu(&self) -> Cpu {
        Cpu::new(self.0)
    }

    fn hgei(&self) -> Hgei {
        self.1
    }
}

/// A CPU with one guest file: its lines, owned by vCPU `()`, and the file's pending bits.
struct TestCpu {
    lines: Mutex<Lines<()>>,
    pending: Word,
}

impl TestCpu {
    fn new() -> Self {
        let mut lines = Lines::new();

        lines.set_count(1);
        Self {
            lines: Mutex::new(lines),
            pending: Word::new(0),
        }
    }

    fn lines_in_use(&self) -> u64 {
        self.lines.lock().unwrap().in_use()
    }
}

/// Two CPUs and a vCPU.
struct Machine {
    cpus: [TestCpu; 2],
    binding: Mutex<Binding<File>>,
    software: Word,
    bound_to: Word,
    /// The memory of the vCPU: `binding`, `software`, `bound_to`.
    memory: UnsafeCell<()>,
    gone: Word,
}

impl Machine {
    /// A vCPU whose state is in the SW-file.
    fn new() -> Self {
        Self {
            cpus: [TestCpu::new(), TestCpu::new()],
            binding: Mutex::new(Binding::Software),
            software: Word::new(0),
            bound_to: Word::new(0),
            memory: UnsafeCell::new(()),
            gone: Word::new(0),
        }
    }

    /// A vCPU whose state, `pending`, is in the file of CPU 0.
    fn on_cpu_0(pending: u64) -> Self {
        let machine = Self::new();
        let file = machine.alloc(0);

        machine.cpus[0].pending.set(pending);
        *machine.binding.lock().unwrap() = Binding::Bound(file);
        machine
    }

    /// Changes the binding, and with it the word for those without the lock.
    fn change<T>(&self, change: impl FnOnce(&mut Binding<File>) -> T) -> T {
        let mut binding = self.binding.lock().unwrap();
        let result = change(&mut binding);

        self.bound_to.store_release(BoundTo::pack(
            binding.file().map(|file| (file.cpu(), file.hgei())),
        ));
        result
    }

    fn alloc(&self, cpu: u32) -> File {
        let line = self.cpu(cpu).lines.lock().unwrap().alloc(()).unwrap();

        File(cpu, line)
    }

    fn cpu(&self, cpu: u32) -> &TestCpu {
        &self.cpus[cpu as usize]
    }

    /// Whoever calls this, the vCPU has to be there.
    fn touch(&self) {
        self.memory.with(|_| ());
        assert_eq!(self.gone.load(), 0, "the vCPU is gone");
    }

    /// Saves what is in a file, and gives the file back.
    fn save(&self, file: File) -> u64 {
        let cpu = self.cpu(file.0);
        let saved = cpu.pending.swap(0);

        assert_eq!(cpu.lines.lock().unwrap().free(file.1), Some(()));
        saved
    }

    /// An MSI from anybody.
    fn inject(&self, bit: u64) {
        let binding = self.binding.lock().unwrap();
        let to = match binding.delivers_to() {
            Some(file) => &self.cpu(file.0).pending,
            None => &self.software,
        };

        to.set(bit);
    }

    /// The vCPU's own thread moves the state to a file of `cpu`.
    fn move_to(&self, cpu: u32) {
        let new = self.alloc(cpu);
        let mut state = loop {
            match self.change(Binding::begin_move) {
                Begin::FromSoftware => break 0,
                Begin::From(old) => break self.save(old),
                Begin::Wait => thread::yield_now(),
            }
        };
        self.change(|binding| {
            state |= self.software.swap(0);
            binding.finish_move(new).unwrap();
        });
        self.cpu(cpu).pending.set(state);
    }

    /// The vCPU's own thread finds no file on its new CPU.
    fn move_to_software(&self) {
        loop {
            let state = match self.change(Binding::begin_move) {
                Begin::FromSoftware => 0,
                Begin::From(old) => self.save(old),
                Begin::Wait => {
                    thread::yield_now();
                    continue;
                }
            };

            self.software.set(state);
            assert!(self.change(Binding::cancel_move));
            return;
        }
    }

    /// CPU 0 goes offline: takes the files away from all owners until all lines are free.
    fn offline(&self) {
        let cpu = &self.cpus[0];

        loop {
            let release = {
                let lines = cpu.lines.lock().unwrap();

                // Owners stay while the lines are locked.
                if lines.owners(!0).next().is_none() {
                    break;
                }
                self.touch();
                let release = self.change(|binding| binding.begin_release(Some(Cpu::new(0))));
                drop(lines);
                release
            };

            match release {
                Release::File(file) => {
                    let state = self.save(file);

                    self.touch();
                    self.software.set(state);
                    assert!(self.change(Binding::finish_release));
                }
                Release::Nothing | Release::Busy => thread::yield_now(),
            }
        }
        // Nobody looks into this file any more.
        assert_eq!(cpu.pending.swap(0), 0);
    }

    /// The vCPU goes away.
    fn destroy(&self) {
        loop {
            match self.change(Binding::destroy) {
                Release::File(file) => {
                    self.save(file);
                    break;
                }
                Release::Nothing => break,
                Release::Busy => thread::yield_now(),
            }
        }
        // Whoever is still in there, reads or writes, makes loom complain.
        self.memory.with_mut(|_| ());
        self.gone.set(1);
    }

    /// What the vCPU finds in the end, wherever it is.
    fn state(&self) -> u64 {
        let mut state = self.software.load();

        if let Some(file) = self.binding.lock().unwrap().file() {
            state |= self.cpu(file.0).pending.load();
        }
        state
    }
}

/// Runs `body` in another thread.
fn spawn(machine: &Arc<Machine>, body: fn(&Machine)) -> thread::JoinHandle<()> {
    let machine = machine.clone();

    thread::spawn(move || body(&machine))
}

/// VS-9: MSIs that arrive during a move between files are all in the new one.
#[test]
fn a_move_loses_nothing() {
    loom::model(|| {
        let machine = Arc::new(Machine::on_cpu_0(0b1000));

        let injectors = [
            spawn(&machine, |machine| machine.inject(0b01)),
            spawn(&machine, |machine| machine.inject(0b10)),
        ];
        machine.move_to(1);
        injectors.map(|injector| injector.join().unwrap());

        assert_eq!(machine.cpus[1].pending.load(), 0b1011);
        assert_eq!(machine.software.load(), 0);
        assert_eq!(machine.cpus[0].lines_in_use(), 0);
    });
}

/// The first move of all comes from the SW-file.
#[test]
fn a_move_from_software_loses_nothing() {
    loom::model(|| {
        let machine = Arc::new(Machine::new());

        machine.inject(0b1000);
        let injectors = [
            spawn(&machine, |machine| machine.inject(0b01)),
            spawn(&machine, |machine| machine.inject(0b10)),
        ];
        machine.move_to(0);
        injectors.map(|injector| injector.join().unwrap());

        assert_eq!(machine.cpus[0].pending.load(), 0b1011);
        assert_eq!(machine.software.load(), 0);
    });
}

/// A move that ends in the SW-file, since there are no more guest files.
#[test]
fn a_move_to_software_loses_nothing() {
    loom::model(|| {
        let machine = Arc::new(Machine::on_cpu_0(0b1000));

        let injectors = [
            spawn(&machine, |machine| machine.inject(0b01)),
            spawn(&machine, |machine| machine.inject(0b10)),
        ];
        machine.move_to_software();
        injectors.map(|injector| injector.join().unwrap());

        assert_eq!(machine.software.load(), 0b1011);
        assert_eq!(machine.cpus[0].lines_in_use(), 0);
    });
}

/// Candidate 9b: a vCPU leaves a CPU that goes offline at that time. Each takes the file or waits
/// for the other, and the state arrives with what is injected meanwhile.
#[test]
fn offline_and_move_lose_nothing() {
    loom::model(|| {
        let machine = Arc::new(Machine::on_cpu_0(0b1000));

        let offline = spawn(&machine, Machine::offline);
        let injector = spawn(&machine, |machine| machine.inject(0b01));
        machine.move_to(1);
        offline.join().unwrap();
        injector.join().unwrap();

        assert_eq!(machine.cpus[1].pending.load(), 0b1001);
        assert_eq!(machine.software.load(), 0);
        assert_eq!(machine.cpus[0].lines_in_use(), 0);
        assert_eq!(
            BoundTo::unpack(machine.bound_to.load()),
            Some((Cpu::new(1), Hgei::MIN))
        );
    });
}

/// A CPU goes offline, and the vCPU has nowhere else to go.
#[test]
fn offline_loses_nothing() {
    loom::model(|| {
        let machine = Arc::new(Machine::on_cpu_0(0b1000));

        let offline = spawn(&machine, Machine::offline);
        let injector = spawn(&machine, |machine| machine.inject(0b01));
        machine.move_to_software();
        offline.join().unwrap();
        injector.join().unwrap();

        assert_eq!(machine.state(), 0b1001);
        assert_eq!(machine.cpus[0].lines_in_use(), 0);
    });
}

/// Candidate 9a: a vCPU goes away while a CPU that goes offline has found it as an owner.
#[test]
fn offline_uses_no_vcpu_that_is_gone() {
    loom::model(|| {
        let machine = Arc::new(Machine::on_cpu_0(0b1000));

        let offline = spawn(&machine, Machine::offline);
        machine.destroy();
        offline.join().unwrap();

        assert_eq!(machine.cpus[0].lines_in_use(), 0);
    });
}
