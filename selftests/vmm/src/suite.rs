// SPDX-License-Identifier: GPL-2.0

//! A test program on a machine with KVM: what the machine has, what each test
//! needs of it, and the TAP output.
//!
//! The tester, who made the machine, tells what it has, by these arguments, which are the same for all
//! programs, as environment variables `AIA_ARG_NAME`; what KVM shows must be that:
//!
//! - `kvm_files`: guest interrupt files per CPU, the fewest if CPUs differ; without it, as many as the
//!   device tree has pages for
//! - `kvm_ssaia=1`: Ssaia can be taken from a vCPU
//! - `kvm_hvien=1`: hvien has KVM's bit
//! - `kvm_overcommit=1`: vCPUs take guest files of others that do not run
//! - `kvm_aia_extensions=1`: the kernel has the extensions of the AIA device
//!
//! And how long they try, where a race is met by chance:
//!
//! - `kvm_rounds`: so many rounds at most, and a quarter of the time: for kernels that take several times
//!   as long for each, and machines that only repeat what others show

use crate::{
    host::{
        self,
        Imsics, //
    },
    refused,
    same,
    Config,
    Context,
    Error,
    Guest,
    Mode,
    Result, //
};
use ktap::Tap;
use kvm_ioctls::{
    Cap,
    Kvm, //
};
use std::{
    env,
    io,
    process::ExitCode,
    time::Duration, //
};

/// The machine below.
#[derive(Debug)]
pub struct Machine {
    kvm: Kvm,
    cpus: Vec<usize>,
    files: u32,
    imsics: Option<Imsics>,
    rounds: Option<u32>,
}

/// Brings all CPUs of a machine back when it is dropped, whatever happens.
#[derive(Debug)]
pub struct CpusBack<'a>(&'a Machine);

impl Drop for CpusBack<'_> {
    fn drop(&mut self) {
        for &cpu in self.0.cpus() {
            let _ = host::set_online(cpu, true);
        }
    }
}

impl Machine {
    /// For a test that takes CPUs offline.
    pub fn cpus_back(&self) -> CpusBack<'_> {
        CpusBack(self)
    }

    /// What the machine has. Fails if that is not what the tester tells.
    fn look() -> Result<Self> {
        let kvm = Kvm::new().context("/dev/kvm")?;
        let imsics = Imsics::read()?;

        if !kvm.check_extension(Cap::Irqchip) {
            return Err(Error::new("KVM has no AIA"));
        }
        let wanted = match (told("kvm_files")?, &imsics) {
            (Some(told), _) => told,
            (None, Some(imsics)) => imsics.fewest_guest_files(),
            (None, None) => 0,
        };
        let files = host::kvm_guest_files()?.unwrap_or(wanted);

        same(files, wanted, || "guest files that KVM found".into())?;
        if told("kvm_rounds")?.is_some() {
            host::lengthen_slices();
        }
        Ok(Self {
            kvm,
            cpus: host::online_cpus()?,
            files,
            imsics,
            rounds: told("kvm_rounds")?,
        })
    }

    /// /dev/kvm.
    pub fn kvm(&self) -> &Kvm {
        &self.kvm
    }

    /// The CPUs that were online at the start.
    pub fn cpus(&self) -> &[usize] {
        &self.cpus
    }

    /// The CPU on which vCPU `n` of several runs.
    pub fn cpu(&self, n: usize) -> usize {
        self.cpus[n % self.cpus.len()]
    }

    /// How long to try what takes a time, and would take `most`.
    pub fn time(&self, most: Duration) -> Duration {
        match self.rounds {
            Some(_) => most / 4,
            None => most,
        }
    }

    /// How many rounds to do of a test that meets a race by chance, and would do `most`.
    pub fn rounds(&self, most: u32) -> u32 {
        self.rounds.map_or(most, |told| told.min(most))
    }

    /// Guest interrupt files that every CPU has at least.
    pub fn files(&self) -> u32 {
        self.files
    }

    /// Guest interrupt files of `cpu`.
    ///
    /// The harts are alike, so that CPUs with more differ in what the device tree
    /// says of them.
    pub fn files_of(&self, cpu: usize) -> u32 {
        let Some(imsics) = &self.imsics else {
            return self.files;
        };

        if imsics.fewest_guest_files() == self.files {
            imsics.guest_files(cpu)
        } else {
            // The harts have fewer files than pages.
            imsics.guest_files(cpu).min(self.files)
        }
    }

    /// CPUs of `cpus` that differ in their number of guest files, one for each
    /// number above 0.
    pub fn unlike(&self, cpus: &[usize]) -> Vec<usize> {
        let mut numbers = vec![0];

        cpus.iter()
            .copied()
            .filter(|&cpu| {
                let number = self.files_of(cpu);
                let new = !numbers.contains(&number);

                numbers.push(number);
                new
            })
            .collect()
    }

    /// Another CPU than `cpu`, if there is one: the next.
    pub fn other(&self, cpu: usize) -> Option<usize> {
        let at = self.cpus.iter().position(|&c| c == cpu)?;
        let other = self.cpu(at + 1);

        (other != cpu).then_some(other)
    }

    /// Whether Ssaia has been taken from a vCPU, as `result` of that says; it can be exactly where the
    /// tester says so.
    pub fn withheld_ssaia(&self, result: io::Result<()>) -> Result<bool> {
        if says("kvm_ssaia")? {
            return result.map(|()| true).context("withholding Ssaia");
        }
        refused(result, libc::EINVAL, || "withholding Ssaia".into())?;
        Ok(false)
    }

    /// Whether a vCPU that finds no guest file free takes that of another one, as the tester says.
    pub fn overcommits(&self) -> Result<bool> {
        says("kvm_overcommit")
    }

    /// Whether the kernel has the extensions of the AIA device, by its attribute, which it has exactly
    /// where the tester says so.
    pub fn has_extensions(&self, has: io::Result<()>) -> Result<bool> {
        if says("kvm_aia_extensions")? {
            return has.map(|()| true).context("HAS of the extensions");
        }
        refused(has, libc::ENXIO, || "HAS of the extensions".into())?;
        Ok(false)
    }

    /// The S-level IMSICs, if there are any in a device tree.
    pub fn imsics(&self) -> Option<&Imsics> {
        self.imsics.as_ref()
    }

    /// The mode that uses as much of the hardware as there is.
    pub fn best_mode(&self) -> Mode {
        if self.files == 0 {
            Mode::Emul
        } else {
            Mode::Auto
        }
    }

    /// Boots a guest of `cfg` with its vCPUs spread over the CPUs.
    pub fn boot(&self, cfg: Config) -> Result<Guest> {
        let mut guest = Guest::new(&self.kvm, cfg)?;

        for n in 0..cfg.vcpus {
            guest.boot(n, &[self.cpu(n)])?;
        }
        Ok(guest)
    }
}

/// What a test needs of the machine.
#[derive(Clone, Copy, Debug)]
pub enum Need {
    /// Nothing.
    Nothing,
    /// So many guest files on each CPU.
    Files(u32),
    /// So many guest files on each CPU, and so many CPUs.
    FilesAndCpus(u32, usize),
    /// So many guest files on all CPUs together.
    Vcpus(u32),
}

impl Need {
    /// Why `machine` does not do.
    fn missing(self, machine: &Machine) -> Option<String> {
        let (files, cpus) = match self {
            Self::Nothing => (0, 1),
            Self::Files(files) => (files, 1),
            Self::FilesAndCpus(files, cpus) => (files, cpus),
            // Where a CPU has none, KVM uses none at all.
            Self::Vcpus(n) if machine.files * (machine.cpus.len() as u32) < n => {
                return Some(format!("needs {n} guest files on all CPUs together"));
            }
            Self::Vcpus(_) => (0, 1),
        };

        if machine.files < files {
            Some(format!("needs {files} guest files per CPU"))
        } else if machine.cpus.len() < cpus {
            Some(format!("needs {cpus} CPUs"))
        } else {
            None
        }
    }
}

/// A test: what it shows, what it needs, and the test.
pub type Test = (&'static str, Need, fn(&Machine) -> Result<()>);

/// The argument of this name, if there is one.
pub fn told(name: &str) -> Result<Option<u32>> {
    match env::var(format!("AIA_ARG_{name}")) {
        Ok(n) => n.parse().map(Some).context(name),
        Err(_) => Ok(None),
    }
}

/// What the tester says by the argument of this name: yes, or no if there is none.
pub fn says(name: &str) -> Result<bool> {
    Ok(told(name)?.is_some_and(|n| n != 0))
}

/// Runs `tests` and gives the program's exit code.
pub fn run(tests: &[Test]) -> ExitCode {
    let machine = match Machine::look() {
        Ok(machine) => machine,
        Err(e) => Tap::new(tests.len()).bail_out(e),
    };
    let mut tap = Tap::new(tests.len());

    tap.diag(format!(
        "{} CPUs, guest files of each: {:?}",
        machine.cpus.len(),
        machine
            .cpus
            .iter()
            .map(|&cpu| machine.files_of(cpu))
            .collect::<Vec<_>>()
    ));
    for &(name, need, test) in tests {
        match need.missing(&machine) {
            Some(why) => tap.skip(why, name),
            None => {
                tap.check(test(&machine), name);
            }
        }
    }
    tap.finish()
}
