// SPDX-License-Identifier: GPL-2.0

//! A machine that runs goes on in another one: live migration, within one process.

use super::Guest;
use crate::{
    ext,
    vcpu::End,
    Config,
    Context,
    Mode,
    Result, //
};
use kvm_ioctls::Kvm;
use std::time::{
    Duration,
    Instant, //
};

/// What a migration took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Migration {
    /// For how long no vCPU ran.
    pub stopped: Duration,
    /// Pages that were copied while the vCPUs ran.
    pub before: usize,
    /// Those that were copied afterwards.
    pub after: usize,
}

impl Guest {
    /// Makes it another machine, in `mode`, with the same program in the midst of what it does: the memory
    /// is copied while the vCPUs run, and once more what they have written to meanwhile; then their
    /// registers go there, and the state of the interrupt controllers, one by one.
    ///
    /// `unplug` takes the lines of the VMM's devices from a machine whose vCPUs have stopped, and `plug` gives
    /// them to one whose vCPUs have not started. Fails with how a vCPU has ended, if one has.
    pub fn migrate(
        &mut self,
        kvm: &Kvm,
        mode: Mode,
        unplug: impl FnOnce(&Self) -> Result<()>,
        plug: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<std::result::Result<Migration, End>> {
        let mem = self.mem.blank()?;

        self.mem.track(&self.vm)?;
        let used = self.mem.used()?;
        let mut before = used.len();

        mem.copy(&self.mem, &used);
        let written = self.mem.written(&self.vm)?;

        before += written.len();
        mem.copy(&self.mem, &written);

        let begin = Instant::now();
        for vcpu in &mut self.vcpus {
            match vcpu.stop()? {
                End::Stopped => (),
                end => return Ok(Err(end)),
            }
        }
        for vcpu in &mut self.vcpus {
            vcpu.settle()?;
        }
        unplug(self)?;
        let written = self.mem.written(&self.vm)?;

        mem.copy(&self.mem, &written);
        let mut new = self.twin(kvm, mode, mem)?;

        for (from, to) in self.vcpus.iter().zip(&new.vcpus) {
            to.restore(&from.save()?)?;
        }
        self.copy_controllers(&new)?;
        // So that nothing but what was moved goes on.
        std::mem::swap(self, &mut new);
        drop(new);
        plug(self)?;
        for vcpu in &mut self.vcpus {
            vcpu.start(&[])?;
        }
        Ok(Ok(Migration {
            stopped: begin.elapsed(),
            before,
            after: written.len(),
        }))
    }

    /// A machine like this one in `mode`, with this memory, which has not run yet.
    fn twin(&self, kvm: &Kvm, mode: Mode, mem: crate::GuestMemory) -> Result<Self> {
        // Mode AUTO may be wanted on a host without guest files, once the extension is there.
        let cfg = Config {
            mode: Mode::Emul,
            ..self.cfg
        };
        let mut new = Self::build(kvm, cfg, mem, self.entry)?;

        new.cfg.mode = mode;
        new.devices = self.devices.clone();
        for vcpu in &mut new.vcpus {
            vcpu.set_devices(self.devices.clone());
        }
        new.aia()
            .set_extensions(ext::AUTO_ANYWHERE)
            .context("extensions")?;
        new.aia()
            .set_mode(mode)
            .context(format!("AIA mode {mode}"))?;
        new.ready()?;
        Ok(new)
    }

    /// Copies the state of each interrupt file, then that of the APLIC.
    fn copy_controllers(&self, to: &Self) -> Result<()> {
        let files = (0..self.cfg.vcpus).map(|n| ext::imsic_state(self.cfg.number(n).id));
        let aplic = (self.cfg.sources != 0).then_some(ext::APLIC_STATE);

        for attr in files.chain(aplic) {
            let what = || format!("the state {attr:#x}");
            let state = self.aia().state(attr).context(what())?;

            to.aia().set_state(attr, &state).context(what())?;
        }
        Ok(())
    }
}
