// SPDX-License-Identifier: GPL-2.0

//! A machine that runs goes on in another one, maybe another process': live migration.

use super::{
    Config,
    Guest, //
};
use crate::{
    abi::RAM_BASE,
    ext,
    sys::GuestMemory,
    vcpu::{
        End,
        Entry,
        VcpuState, //
    },
    Context,
    Mode,
    Result, //
};
use kvm_ioctls::Kvm;
use serde::{
    Deserialize,
    Serialize, //
};
use std::fs::File;

/// All of a machine that has stopped, besides its memory and the VMM's devices.
#[derive(Debug, Deserialize, Serialize)]
pub struct MachineState {
    vcpus: Vec<VcpuState>,
    /// Of each interrupt controller, by its attribute.
    controllers: Vec<(u64, Vec<u8>)>,
}

/// Pages of memory that a machine has sent.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub struct Sent {
    /// While its vCPUs ran.
    pub before: usize,
    /// Afterwards.
    pub after: usize,
}

impl Guest {
    /// A machine in `mode`, with so many bytes of empty memory, for a guest that comes from another one.
    pub fn awaiting(kvm: &Kvm, cfg: Config, mode: Mode, ram: u64) -> Result<Self> {
        // Mode AUTO may be wanted on a host without guest files, once the extension is there.
        let emul = Config {
            mode: Mode::Emul,
            ..cfg
        };
        let entry = Entry {
            pc: RAM_BASE,
            arg: 0,
            waits: false,
        };
        let memory = GuestMemory::with_parts(ram, &[])?;
        let mut new = Self::build(kvm, emul, memory, Some(entry))?;

        new.cfg.mode = mode;
        new.aia()
            .set_extensions(ext::AUTO_ANYWHERE)
            .context("extensions")?;
        new.aia()
            .set_mode(mode)
            .context(format!("AIA mode {mode}"))?;
        new.ready()?;
        Ok(new)
    }

    /// Its memory, for another machine to [send](Self::leave) to.
    pub fn memory(&self) -> &File {
        self.mem.file()
    }

    /// Stops, with its memory copied to `memory`: while the vCPUs run, and once more what they have written
    /// to meanwhile. `stopping` is called before they stop, and `unplug` afterwards, to take the lines
    /// of the VMM's devices away. Fails with how a vCPU has ended, if one has.
    pub fn leave(
        &mut self,
        memory: File,
        stopping: impl FnOnce(),
        unplug: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<std::result::Result<(MachineState, Sent), End>> {
        let mem = GuestMemory::of_file(memory, 0)?;

        self.mem.track(&self.vm)?;
        let used = self.mem.used()?;
        let mut before = used.len();

        mem.copy(&self.mem, &used);
        let written = self.mem.written(&self.vm)?;

        before += written.len();
        mem.copy(&self.mem, &written);

        stopping();
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
        Ok(Ok((
            MachineState {
                vcpus: self.vcpus.iter().map(|v| v.save()).collect::<Result<_>>()?,
                controllers: self.save_controllers()?,
            },
            Sent {
                before,
                after: written.len(),
            },
        )))
    }

    /// Goes on with what another machine was, once the lines of the VMM's devices are there by `plug`.
    pub fn arrive(
        &mut self,
        state: &MachineState,
        plug: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<()> {
        for (state, vcpu) in state.vcpus.iter().zip(&self.vcpus) {
            vcpu.restore(state)?;
        }
        for (attr, state) in &state.controllers {
            self.aia()
                .set_state(*attr, state)
                .context(format!("the state {attr:#x}"))?;
        }
        plug(self)?;
        self.vcpus.iter_mut().try_for_each(|vcpu| vcpu.start(&[]))
    }

    /// The state of each interrupt file, then that of the APLIC.
    fn save_controllers(&self) -> Result<Vec<(u64, Vec<u8>)>> {
        let files = (0..self.cfg.vcpus).map(|n| ext::imsic_state(self.cfg.number(n).id));
        let aplic = (self.cfg.sources != 0).then_some(ext::APLIC_STATE);

        files
            .chain(aplic)
            .map(|attr| {
                let state = self.aia().state(attr);

                Ok((attr, state.context(format!("the state {attr:#x}"))?))
            })
            .collect()
    }
}
