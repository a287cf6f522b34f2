// SPDX-License-Identifier: GPL-2.0

//! User space reads and replaces the state, with the vCPU's mutex held.

use crate::{
    guest::{
        binding::{
            Binding,
            GuestFileLocation as _, //
        },
        file::{
            self,
            FileRegisters as _, //
        },
    },
    isel::{
        IndirectRegister, //
        Isel,
    },
    swfile::Image, //
};

use super::{
    access::signal,
    release::discard,
    vcpu::{
        GuestFile,
        InterruptFile,
        Offline, //
    },
};

/// Calls `f` where the state is: with the registers of the guest file on its own hart, or without for
/// the file in memory. The binding is locked meanwhile. May wait for another hart.
///
/// Fails if the state is in a file of a hart that has gone, which cannot be: such a hart takes all
/// files away first, and no other moves the state meanwhile but to memory, where it stays. So it takes
/// three attempts at most: the guest file, who takes it away, the file in memory.
fn with_state<V: InterruptFile, R: Send>(
    vcpu: V,
    mut f: impl FnMut(Option<&<V::File as GuestFile>::Registers<'_>>) -> R + Send,
) -> Result<R, Offline> {
    let mut went = None;

    loop {
        let found = vcpu.with_binding(|binding| match binding {
            Binding::Bound(file) => Ok(Some((file.cpu(), file.hgei()))),
            Binding::Software => Err(f(None)),
            // Soon the state is in memory.
            Binding::Moving | Binding::Releasing => Ok(None),
        });
        let place @ (cpu, line) = match found {
            Err(result) => return Ok(result),
            Ok(Some(place)) => place,
            Ok(None) => {
                vcpu.wait();
                continue;
            }
        };
        let done = vcpu.call_on(cpu, || {
            vcpu.with_binding(|binding| {
                // The hart, or another vCPU there, may have taken it away meanwhile.
                let bound = binding
                    .file()
                    .filter(|file| (file.cpu(), file.hgei()) == (cpu, line))?;

                Some(bound.here(|registers| f(Some(registers))))
            })
        });

        match done {
            Ok(Some(result)) => return Ok(result),
            Ok(None) => (),
            Err(Offline) if went == Some(place) => return Err(Offline),
            Err(Offline) => went = Some(place),
        }
    }
}

/// Copies the state, and leaves it where it is. May wait for another hart.
pub fn save(vcpu: impl InterruptFile, image: &mut Image) -> Result<(), Offline> {
    let (hart_ids, guest_ids) = (vcpu.hart_ids(), vcpu.sw_file().nr_ids());

    with_state(vcpu, |registers| match registers {
        Some(registers) => {
            // What does not arrive by now comes after the copy.
            let _ = file::copy(registers, hart_ids, guest_ids, image);
        }
        None => vcpu.sw_file().copy(image),
    })
}

/// Replaces the state, which is in memory afterwards.
pub fn restore(vcpu: impl InterruptFile, image: &Image) {
    discard(vcpu);
    vcpu.sw_file().reset();
    vcpu.sw_file().merge(image);
    signal(vcpu);
}

/// Reads a register of an interrupt file, or writes it if there is a value; returns what it held, or
/// [`None`] if `isel` is no such register. May wait for another hart.
pub fn access(
    vcpu: impl InterruptFile,
    isel: Isel,
    write: Option<u64>,
) -> Result<Option<u64>, Offline> {
    let (hart_ids, guest_ids) = (vcpu.hart_ids(), vcpu.sw_file().nr_ids());
    let pending = matches!(isel.register(), IndirectRegister::Eip(_));
    let old = with_state(vcpu, |registers| match registers {
        Some(registers) => {
            if pending {
                // What was sent before is there before.
                let _ = file::settle_in_use(registers, hart_ids, guest_ids);
            }
            Some(match write {
                Some(value) => registers.swap(isel, value),
                None => registers.read(isel),
            })
        }
        None => {
            let mask = if write.is_some() { !0 } else { 0 };

            vcpu.sw_file()
                .access(isel.register(), write.unwrap_or_default(), mask)
        }
    })?;

    if write.is_some() {
        signal(vcpu);
    }
    Ok(old)
}
