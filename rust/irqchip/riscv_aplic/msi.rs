// SPDX-License-Identifier: GPL-2.0

//! Delivery as MSIs.

use aia_core::{
    addr::PhysAddr,
    aplic::{
        domaincfg::DeliveryMode,
        hart_numbers::{
            self,
            HartNumbers, //
        },
        msi_addr::MsiAddrConfig,
        regs,
        target::{
            self,
            MsiTarget, //
        }, //
    },
    ids::Eiid, //
};
use kernel::{
    bindings,
    device::{
        property::FwNode,
        Device, //
    },
    interrupt::LocalInterruptDisabled,
    prelude::*,
    static_lock_class, //
};
use kernel_ext::{
    irq::{
        chip,
        fwspec::Fwspec,
        trigger::Trigger,
        Chip,
        IrqData, //
    },
    msi::{
        wired::{
            self,
            WiredToMsi, //
        },
        Message, //
    },
    refuse,
    sync::RawSpinLock, //
};
use riscv_imsic::sender::Extempore;

use crate::{
    config::{
        Config,
        HartWire, //
    },
    controller::{
        source_mode,
        Controller, //
    }, //
};

/// How often `genmsi` is read before the APLIC counts as stuck.
const PATIENCE: u32 = 1_000;

/// An APLIC that delivers MSIs.
#[pin_data]
pub(crate) struct MsiAplic {
    controller: Controller,
    address: MsiAddrConfig,
    harts: HartNumbers<KVec<hart_numbers::Pair>>,
    /// One extempore MSI at a time.
    #[pin]
    genmsi: RawSpinLock<()>,
}

impl MsiAplic {
    /// What the target register holds for `message`; zero, which raises nothing, for none.
    fn target(&self, message: &Message) -> Result<u32> {
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

    /// Waits until an extempore MSI can be sent.
    fn wait_idle(&self) -> bool {
        (0..PATIENCE).any(|_| !target::genmsi_busy(self.controller.read(regs::GENMSI)))
    }
}

impl Extempore for MsiAplic {
    fn send(&self, address: u64, eiid: Eiid) -> bool {
        let Some(genmsi) = self.target_for(address, eiid).and_then(MsiTarget::genmsi) else {
            return false;
        };

        let _guard = self.genmsi.lock();
        // Writes are ignored while it is busy (AIA 4.5.15).
        if !self.wait_idle() {
            return false;
        }
        self.controller.write(regs::GENMSI, genmsi);
        self.wait_idle()
    }
}

/// The chip. Its parent is the chip of the IMSIC.
struct MsiChip;

const CHIP: Chip<&'static MsiAplic> = Chip::new(
    c"APLIC-MSI",
    bindings::IRQCHIP_SET_TYPE_MASKED
        | bindings::IRQCHIP_SKIP_SET_WAKE
        | bindings::IRQCHIP_MASK_ON_SUSPEND,
)
.with_mask::<MsiChip>()
.with_unmask::<MsiChip>()
.with_set_type::<MsiChip>()
.with_eoi::<MsiChip>()
.with_write_msi::<MsiChip>()
.with_parent_affinity();

impl chip::Ops for MsiChip {
    type Data = &'static MsiAplic;
}

impl chip::Mask for MsiChip {
    fn mask(data: &IrqData<&'static MsiAplic>, irqs_off: &LocalInterruptDisabled) {
        data.chip_data().controller.mask(data.hwirq());
        chip::mask_parent(data, irqs_off);
    }
}

impl chip::Unmask for MsiChip {
    fn unmask(data: &IrqData<&'static MsiAplic>, irqs_off: &LocalInterruptDisabled) {
        chip::unmask_parent(data, irqs_off);
        data.chip_data().controller.unmask(data.hwirq());
    }
}

impl chip::SetType for MsiChip {
    fn set_type(
        data: &IrqData<&'static MsiAplic>,
        trigger: Option<Trigger>,
        _irqs_off: &LocalInterruptDisabled,
    ) -> Result {
        data.chip_data()
            .controller
            .set_trigger(data.hwirq(), trigger)
    }
}

impl chip::Eoi for MsiChip {
    fn eoi(data: &IrqData<&'static MsiAplic>, irqs_off: &LocalInterruptDisabled) {
        let controller = &data.chip_data().controller;

        // A change of affinity that came while a move was in flight: the flow of level interrupts
        // has no acknowledgement that would carry it out.
        data.move_pending(irqs_off);

        if let Some(source) = controller.source(data.hwirq()) {
            controller.retrigger(source, source_mode(data.trigger()));
        }
    }
}

impl chip::WriteMsi for MsiChip {
    fn write(data: &IrqData<&'static MsiAplic>, message: &Message) {
        let aplic = data.chip_data();
        let Some(source) = aplic.controller.source(data.hwirq()) else {
            return;
        };

        match aplic.target(message) {
            Ok(target) => {
                if !aplic.controller.set_target(source, target) {
                    pr_err!(
                        "source {}: target does not take {:#x}\n",
                        source.get(),
                        target
                    );
                }
            }
            Err(_) => pr_err!(
                "source {}: cannot send {:#x} to {:#x}\n",
                source.get(),
                message.data,
                message.address
            ),
        }
    }
}

/// The domain of the sources.
struct MsiDomain;

impl WiredToMsi for MsiDomain {
    type Host = MsiAplic;

    fn translate(aplic: &'static MsiAplic, spec: &Fwspec) -> Result<(usize, Trigger)> {
        aplic.controller.translate(spec)
    }
}

/// Sets the APLIC of `node` up to deliver MSIs.
///
/// Fails with `EPROBE_DEFER` as long as there is no MSI controller, before anything is touched.
pub(crate) fn setup(dev: &Device, node: &FwNode, config: &Config, harts: &[HartWire]) -> Result {
    let geometry = riscv_imsic::geometry().ok_or_else(|| {
        refuse!(node, "msi-parent", "there is no IMSIC");
        ENODEV
    })?;
    if !wired::has_parent(dev) {
        return Err(EPROBE_DEFER);
    }
    let address = MsiAddrConfig::new(&geometry).map_err(|error| {
        refuse!(
            node,
            "msi-parent",
            "{} of the IMSIC: {}",
            error.property(),
            error.message()
        )
    })?;

    let aplic = KBox::pin_init(
        try_pin_init!(MsiAplic {
            controller: Controller::new(node, config, DeliveryMode::Msi)?,
            address,
            harts: HartNumbers::new(numbers(harts, &address)?),
            genmsi <- RawSpinLock::new((), c"aplic_genmsi", static_lock_class!()),
        }? Error),
        GFP_KERNEL,
    )?;
    aplic.program_address(node)?;

    let count = config.nr_sources.get() + 1;
    let aplic = wired::create::<MsiDomain>(dev, CHIP, aplic, count).inspect_err(|_| {
        pr_err!("{}: cannot create the domain\n", node.display_name());
    })?;

    // As long as it does not deliver, nothing of it is in flight.
    if riscv_imsic::sender::register(aplic).is_err() {
        pr_warn!(
            "{}: too many APLICs: moved vectors wait for a jiffy instead of asking\n",
            node.display_name()
        );
    }
    aplic.controller.start();
    dev_info!(
        dev,
        "{} interrupts forwarded to MSI base {:#018x}\n",
        config.nr_sources.get(),
        address.base().get()
    );
    Ok(())
}

/// The numbers of harts at the machine level, by the addresses of their interrupt files, and those
/// of the domain.
fn numbers(harts: &[HartWire], address: &MsiAddrConfig) -> Result<KVec<hart_numbers::Pair>> {
    let mut pairs = KVec::with_capacity(harts.len(), GFP_KERNEL)?;

    for wire in harts {
        let machine = riscv_imsic::file_address(wire.cpu)
            .and_then(|file| address.target_for(file, Eiid::MIN).ok());

        // A CPU without an interrupt file is no target.
        if let Some(machine) = machine {
            pairs.push((machine.hart, wire.hart), GFP_KERNEL)?;
        }
    }
    Ok(pairs)
}

impl MsiAplic {
    /// Programs where MSIs go: only machine-level domains can (AIA 4.5.3).
    ///
    /// Fails with `EIO` if they go somewhere else.
    fn program_address(&self, node: &FwNode) -> Result {
        if !cfg!(CONFIG_RISCV_M_MODE) {
            return Ok(());
        }
        self.controller
            .write(regs::MMSIADDRCFG, self.address.mmsiaddrcfg());
        self.controller
            .write(regs::MMSIADDRCFGH, self.address.mmsiaddrcfgh());

        let low = self.controller.read(regs::MMSIADDRCFG);
        let high = self.controller.read(regs::MMSIADDRCFGH);
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
