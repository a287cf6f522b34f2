// SPDX-License-Identifier: GPL-2.0

//! The state of an APLIC, and what is done with its registers.

use aia_core::{
    addr::PhysAddr,
    aplic::{
        domaincfg::DeliveryMode,
        extempore::Extempore,
        hart_numbers::{
            self,
            HartNumbers, //
        },
        msi_addr::MsiAddrConfig,
        regs,
        target::MsiTarget, //
    },
    ids::Eiid, //
};
use kernel::{
    device::property::FwNode,
    prelude::*,
    static_lock_class, //
};
use kernel_ext::{
    cpumask,
    msi::Message,
    pm_domain::Powered,
    sync::ScopedLock, //
};
use riscv_imsic::sender::ExtemporeSender;

use crate::{
    config::{
        AplicConfig,
        HartWire, //
    },
    controller::Controller, //
};

/// An APLIC that delivers MSIs.
#[pin_data]
pub(crate) struct MsiAplic {
    pub(super) controller: Controller,
    address: MsiAddrConfig,
    harts: HartNumbers<KVec<hart_numbers::Pair>>,
    extempore: Extempore,
    /// One extempore MSI at a time.
    #[pin]
    genmsi: ScopedLock<()>,
}

impl MsiAplic {
    /// Takes the registers over; nothing is delivered yet.
    pub(super) fn new(
        node: &FwNode,
        config: &AplicConfig,
        harts: &[HartWire],
        address: MsiAddrConfig,
    ) -> Result<Pin<KBox<Self>>> {
        KBox::pin_init(
            try_pin_init!(Self {
                controller: Controller::new(node, config, DeliveryMode::Msi)?,
                address,
                harts: HartNumbers::new(numbers(node, harts, &address)?),
                extempore: Extempore::default(),
                genmsi <- ScopedLock::new((), c"aplic_genmsi", static_lock_class!()),
            }? Error),
            GFP_KERNEL,
        )
    }

    /// What the target register holds for `message`; zero, which raises nothing, for none.
    pub(super) fn target(&self, message: &Message) -> Result<u32> {
        if *message == Message::default() {
            return Ok(MsiTarget::NONE);
        }

        let eiid = Eiid::new(message.data).ok_or(EINVAL)?;
        self.target_for(message.address, eiid)
            .map(MsiTarget::encode)
            .ok_or(EINVAL)
    }

    /// The target that makes the domain send `eiid` to `address`.
    fn target_for(&self, address: u64, eiid: Eiid) -> Option<MsiTarget> {
        let mut target = self.address.target_for(PhysAddr::new(address), eiid).ok()?;

        target.hart = self.harts.of(target.hart);
        Some(target)
    }
}

impl ExtemporeSender for MsiAplic {
    fn send(&self, address: u64, eiid: Eiid) -> bool {
        let Some(genmsi) = self.target_for(address, eiid).and_then(MsiTarget::genmsi) else {
            return false;
        };

        self.genmsi
            .with(|()| self.extempore.send(self.controller.registers(), genmsi))
    }

    fn is_off(&self) -> bool {
        self.extempore.is_off()
    }
}

impl MsiAplic {
    /// Writes where MSIs go; returns what the registers hold then.
    fn write_address(&self) -> (u32, u32) {
        self.controller
            .write(regs::MMSIADDRCFG, self.address.mmsiaddrcfg());
        self.controller
            .write(regs::MMSIADDRCFGH, self.address.mmsiaddrcfgh());
        self.read_address()
    }

    fn read_address(&self) -> (u32, u32) {
        (
            self.controller.read(regs::MMSIADDRCFG),
            self.controller.read(regs::MMSIADDRCFGH),
        )
    }

    /// Programs where MSIs go: only machine-level domains can (AIA 4.5.3).
    ///
    /// Fails with `EIO` if they go somewhere else.
    pub(super) fn program_address(&self, node: &FwNode) -> Result {
        if !cfg!(CONFIG_RISCV_M_MODE) {
            return Ok(());
        }
        let (low, high) = self.write_address();
        if self.address.is_programmed(low, high) {
            return Ok(());
        }
        pr_err!(
            "{}: MSIs go where mmsiaddrcfg says, {:#x} and {:#x}, which is not the IMSIC\n",
            node.display_name(),
            low,
            high
        );
        Err(EIO)
    }
}

impl Powered for MsiAplic {
    fn power_off(&self) {
        // Nobody waits for an extempore MSI of it.
        self.genmsi.with(|()| self.extempore.set_off(true));

        self.controller.save();
    }

    fn power_on(&self) {
        let m_mode = cfg!(CONFIG_RISCV_M_MODE);

        self.controller.restore(
            |_| {
                !m_mode || {
                    let (low, high) = self.read_address();

                    self.address.is_programmed(low, high)
                }
            },
            |_| {
                if m_mode {
                    self.write_address();
                }
            },
        );
        if !self.controller.is_off() {
            self.extempore.set_off(false);
        }
    }
}

/// The numbers of harts at the machine level, by the addresses of their interrupt files, and those
/// of the domain.
///
/// None are known unless they are those of all CPUs that have an interrupt file: what is sent to another
/// one would arrive at a hart that has its number in the domain.
fn numbers(
    node: &FwNode,
    harts: &[HartWire],
    address: &MsiAddrConfig,
) -> Result<KVec<hart_numbers::Pair>> {
    let machine = |cpu| {
        riscv_imsic::file_address(cpu)
            .and_then(|file| address.target_for(file, Eiid::MIN).ok())
            .map(|target| target.hart)
    };
    let mut pairs = KVec::with_capacity(harts.len(), GFP_KERNEL)?;

    for wire in harts {
        if let Some(machine) = machine(wire.cpu) {
            pairs.push((machine, wire.hart), GFP_KERNEL)?;
        }
    }

    let all = cpumask::possible().filter_map(machine).count();
    if !pairs.is_empty() && pairs.len() < all {
        pr_warn!(
            "{}: riscv,hart-indexes: those of {} of {} harts are ignored\n",
            node.display_name(),
            pairs.len(),
            all
        );
        pairs.clear();
    }
    Ok(pairs)
}
