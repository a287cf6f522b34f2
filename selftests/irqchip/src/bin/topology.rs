// SPDX-License-Identifier: GPL-2.0

//! What the drivers found must be what the device tree says.
//!
//! Arguments: `guests`, guest files that KVM has to report; `cpus`, how many harts the kernel was
//! told to use, if not all; `exact=1` for drivers that cannot be taken away from their devices.

use irqtest::{
    args::Args,
    cpu,
    dt::{
        self,
        Mode,
        Node, //
    },
    ensure,
    imsic::Imsic,
    interrupts,
    irqdebug::{
        self,
        Irq, //
    },
    kmsg,
    madt::Madt,
    read,
    wait_until,
    Result, //
    PATIENCE,
};
use ktap::Tap;
use std::{
    collections::BTreeSet,
    path::Path,
    process::ExitCode,
    time::{
        Duration,
        Instant, //
    },
};

/// When a device's interrupt has come, nearly always.
const SOON: Duration = Duration::from_millis(500);

fn logged(text: &str) -> Result {
    kmsg::find(text).map_or_else(|| Err(format!("the log has no {text:?}")), |_| Ok(()))
}

/// The interrupts that go through the IMSIC, each at rest: at boot, drivers move theirs.
fn imsic_irqs() -> Vec<(u32, Irq)> {
    irqdebug::irqs()
        .into_iter()
        .filter_map(|n| {
            let mut irq = Irq::read(n);

            wait_until(PATIENCE, || {
                irq = Irq::read(n);
                irq.as_ref().is_ok_and(|i| !i.moving())
            });
            Some((n, irq.ok()?))
        })
        .filter(|(_, irq)| irq.imsic().is_some())
        .collect()
}

fn chips(mode: Mode) -> Result {
    let text: String = interrupts::lines().iter().map(|l| l.text.clone()).collect();
    let (wanted, unwanted): (&[&str], &[&str]) = match mode {
        Mode::Msi => (&["APLIC-MSI"], &["APLIC-DIRECT", "PLIC "]),
        Mode::Direct => (&["APLIC-DIRECT"], &["APLIC-MSI", "IMSIC"]),
        Mode::None => (&["PLIC"], &["APLIC", "IMSIC"]),
    };

    for chip in wanted {
        ensure(text.contains(chip), || format!("no chip {chip}"))?;
    }
    for chip in unwanted {
        ensure(!text.contains(chip), || format!("chip {chip} is there"))?;
    }
    Ok(())
}

fn uart() -> Result {
    let before = interrupts::find(&["ttyS0"]).ok_or("no line for ttyS0")?;

    let begin = Instant::now();

    // The last interrupt may not be through, and send one line along with those before it.
    while begin.elapsed() < PATIENCE {
        ktap::diag("this line makes the UART interrupt");
        if wait_until(SOON, || {
            interrupts::line(&before.name).total() > before.total()
        }) {
            return Ok(());
        }
    }
    Err(format!("still {} of them", before.total()))
}

fn bits(imsic: &Imsic) -> Result {
    let name = &imsic.name;

    logged(&format!(
        "{name}:  hart-index-bits: {},  guest-index-bits: {}",
        imsic.hart_bits, imsic.guest_bits
    ))?;
    logged(&format!(
        "{name}: group-index-bits: {}, group-index-shift: {}",
        imsic.group_bits, imsic.group_shift
    ))
}

fn base(imsic: &Imsic) -> Result {
    let base = imsic.base().ok_or("no reg")?;

    logged(&format!(
        "{}: per-CPU IDs {} at base address 0x{base:016x}",
        imsic.name, imsic.ids
    ))
}

fn total(imsic: &Imsic) -> Result {
    let usable = irqdebug::usable(imsic.ids)?;
    let total = cpu::possible().len() as u64 * usable;

    // All but the IPIs', and one that the driver may need to tell what has arrived.
    ensure((imsic.ids - 2..imsic.ids).contains(&usable), || {
        format!("{usable} of {} IDs are for interrupts", imsic.ids)
    })?;

    logged(&format!("total {total} interrupts available"))?;
    let now = irqdebug::occupancy()?;
    let online = cpu::online().len() as u64 * usable;

    ensure(now.available + now.allocated == online, || {
        format!("{now:?} does not add up to {online}")
    })
}

fn guest_files(imsic: &Imsic, args: &Args) -> Result {
    let files = imsic.guest_files();
    let Some(line) = kmsg::find("AIA available with") else {
        // KVM is silent where it cannot work, as in a guest.
        let guest = args.given("guests").is_none()
            && kmsg::find("hypervisor extension not available").is_some();

        return ensure(guest, || "KVM does not tell of AIA".into());
    };
    let shown: u64 = line
        .split_whitespace()
        .find_map(|w| w.parse().ok())
        .ok_or(format!("no number in {line:?}"))?;

    ensure(shown <= files, || {
        format!("KVM has {shown} guest files, the regions hold {files}")
    })?;
    match args.given("guests") {
        Some(given) => ensure(shown == given, || {
            format!("KVM has {shown} guest files, the machine {given}")
        }),
        None => Ok(()),
    }
}

fn effective(irqs: &[(u32, Irq)]) -> Result {
    for (nr, irq) in irqs {
        let target = irq.target().ok_or(format!("irq {nr} has no target"))?;

        ensure(irq.effective() == [target.0], || {
            format!(
                "irq {nr}: effective {:?}, target {target:?}",
                irq.effective()
            )
        })?;
    }
    ensure(!irqs.is_empty(), || "no interrupts".into())?;
    if kmsg::find("did not update eff. affinity mask").is_some() {
        return Err("irq core complained at boot".into());
    }
    Ok(())
}

fn fields(irqs: &[(u32, Irq)], imsic: &Imsic) -> Result {
    let mut seen = BTreeSet::new();

    for (nr, irq) in irqs {
        let level = irq.imsic().ok_or("no IMSIC level")?;
        let get = |key: &str| level.number(key).ok_or(format!("irq {nr} has no {key}"));
        let target = (get("target_cpu")?, get("target_local_id")?);

        ensure(cpu::online().contains(&(target.0 as usize)), || {
            format!("irq {nr} is on CPU {}", target.0)
        })?;
        ensure((2..=imsic.ids).contains(&target.1), || {
            format!("irq {nr} has ID {}", target.1)
        })?;
        ensure(seen.insert(target), || {
            format!("irq {nr} shares {target:?} with another")
        })?;
        ensure(get("is_reserved")? == 0, || format!("irq {nr} is reserved"))?;
        ensure(get("is_move_pending")? == 0, || {
            format!("irq {nr} is moving at rest")
        })?;
        let started = irq.has("IRQD_IRQ_STARTED") && !irq.has("IRQD_IRQ_MASKED");

        ensure((get("is_enabled")? == 1) == started, || {
            format!("irq {nr}: started {started}, but is_enabled says otherwise")
        })?;
    }
    Ok(())
}

/// Devices write to the page of the hart whose CPU the driver names.
fn messages(irqs: &[(u32, Irq)], imsic: &Imsic) -> Result {
    let mut checked = 0;

    for (nr, irq) in irqs {
        let Some(pci) = irq.chip("PCI-MSI") else {
            continue;
        };
        let low = pci.number("address_lo").unwrap_or(0);

        // Interrupts that nobody has requested have no message.
        if low == 0 {
            continue;
        }
        let address = pci.number("address_hi").unwrap_or(0) << 32 | low;
        let (cpu, id) = irq.target().ok_or("no target")?;
        let page = imsic.page(cpu).ok_or(format!("no page for CPU {cpu}"))?;

        ensure(address == page, || {
            format!("irq {nr}: CPU {cpu} is at {page:#x}, the message goes to {address:#x}")
        })?;
        ensure(pci.number("msg_data") == Some(id.into()), || {
            format!("irq {nr}: the message is not its ID {id}")
        })?;
        checked += 1;
    }
    let pci = !dt::find("pci-host-ecam-generic").is_empty();

    ensure(checked > 0 || !pci, || {
        "no message of a PCI device to look at".into()
    })
}

fn handlers(irqs: &[(u32, Irq)]) -> Result {
    for (nr, irq) in irqs {
        let wanted = if irq.chip("APLIC").is_some() {
            "handle_fasteoi_irq"
        } else {
            "handle_edge_irq"
        };

        ensure(irq.desc.text("handler") == wanted, || {
            format!("irq {nr}: {} instead of {wanted}", irq.desc.text("handler"))
        })?;
    }
    Ok(())
}

/// What an APLIC of so many sources says once it works, as `name`.
fn works(mode: Mode, name: &str, sources: u32) -> Result {
    logged(&if mode == Mode::Msi {
        format!("{name}: {sources} interrupts forwarded to MSI base")
    } else {
        format!("{name}: {sources} interrupts directly connected to")
    })
}

/// Whether an APLIC in direct mode interrupts any of the kernel's harts.
fn reaches_any(node: &Node) -> bool {
    let harts = dt::external_interrupts(node);

    cpu::hart_ids().iter().any(|(_, hart)| harts.contains(hart))
}

fn aplics(mode: Mode) -> Result {
    let nodes = dt::find("riscv,aplic");

    if let Some(madt) = Madt::find() {
        // Their devices are in the namespace, in the same order.
        return madt.aplics.iter().enumerate().try_for_each(|(n, aplic)| {
            works(mode, &format!("RSCV0002:{n:02x}"), aplic.sources.into())
        });
    }
    ensure(!nodes.is_empty(), || "no node".into())?;
    for node in nodes {
        let name = node.name();
        let unit = name.split('@').nth(1).unwrap_or_default();
        let sources = node.cell("riscv,num-sources").unwrap_or(0);

        // A child that is not the root of the supervisor level has nothing to say.
        if mode == Mode::Msi && !node.has("msi-parent") {
            continue;
        }
        // Nor has one of other harts than the kernel's.
        if mode == Mode::Direct && !reaches_any(&node) {
            continue;
        }
        works(mode, &format!("{unit}.interrupt-controller"), sources)?;
    }
    Ok(())
}

/// Nobody can take a controller away from its driver, while devices have its interrupts.
fn bound() -> Result {
    for driver in ["riscv-imsic", "riscv-aplic"] {
        let path = Path::new("/sys/bus/platform/drivers").join(driver);

        ensure(path.exists(), || format!("no driver {driver}"))?;
        for file in ["bind", "unbind"] {
            ensure(!path.join(file).exists(), || {
                format!("{driver} has a file {file:?}")
            })?;
        }
    }
    Ok(())
}

fn provides(imsic: &Imsic) -> Result {
    let line = format!("{}: providing IPIs using interrupt 1", imsic.name);

    if !cpu::is_smp() || read("/proc/cmdline")?.contains("irqchip.riscv_imsic_noipi") {
        return ensure(kmsg::find(&line).is_none(), || {
            "it does so against the command line, or for one CPU".into()
        });
    }
    logged(&line)
}

fn ipis() -> Result {
    let lines = interrupts::lines();
    let names: Vec<&str> = lines
        .iter()
        .filter(|l| l.name.starts_with("IPI"))
        .map(|l| l.text.as_str())
        .collect();

    if !cpu::is_smp() {
        return ensure(names.is_empty(), || format!("IPIs {names:?}"));
    }
    ensure(
        names.first() == Some(&"Rescheduling interrupts") && names.len() >= 8,
        || format!("IPIs {names:?}"),
    )
}

fn main() -> ExitCode {
    let args = Args::of("topology", &["guests", "cpus", "exact"]);
    let mode = dt::mode();
    let exact = args.given("exact").is_some();
    let mut tap = Tap::new(if exact { 15 } else { 14 });

    tap.diag(format!("machine: {mode:?}, CPUs {:?}", cpu::online()));
    let harts = args.number("cpus", dt::harts() as u64) as usize;

    tap.ok(
        cpu::online().len() == harts,
        format!("{harts} harts that firmware has, as many CPUs online"),
    );
    tap.check(chips(mode), "chips are those of the machine");
    tap.check(uart(), "the UART interrupts through them");
    tap.check(ipis(), "IPIs 0 to 7 are there (88d68bbd0732)");

    match Imsic::find() {
        Some(imsic) => {
            let irqs = imsic_irqs();

            tap.check(provides(&imsic), "the IMSIC provides IPIs, if it shall");
            tap.check(bits(&imsic), "index bits and shift as firmware says");
            tap.check(
                base(&imsic),
                "IDs, and base as a physical address (4a1361e9a5c5)",
            );
            tap.check(total(&imsic), "all IDs but 0 and the IPI's are available");
            tap.check(
                guest_files(&imsic, &args),
                "guest files counted from the regions (376e2f8cca28, 59ebc16276c5)",
            );
            tap.check(
                effective(&irqs),
                "effective affinity is set at allocation (35d77eb7b974)",
            );
            tap.check(fields(&irqs, &imsic), "debugfs fields of each interrupt");
            tap.check(
                messages(&irqs, &imsic).and_then(|()| handlers(&irqs)),
                "messages go to the page of the target's hart",
            );
        }
        None => {
            for desc in [
                "the IMSIC provides IPIs, if it shall",
                "index bits and shift as firmware says",
                "IDs, and base as a physical address (4a1361e9a5c5)",
                "all IDs but 0 and the IPI's are available",
                "guest files counted from the regions (376e2f8cca28, 59ebc16276c5)",
                "effective affinity is set at allocation (35d77eb7b974)",
                "debugfs fields of each interrupt",
                "messages go to the page of the target's hart",
            ] {
                tap.skip("no IMSIC in the device tree", desc);
            }
        }
    }

    let desc = "each APLIC is at work, deferred or not (1f181d1cda56, b330fbfd34d7)";

    if mode == Mode::None {
        tap.skip("no APLIC", desc);
    } else {
        tap.check(aplics(mode), desc);
    }

    if exact {
        tap.check(bound(), "user space cannot unbind the drivers");
    }
    tap.check(
        kmsg::Mark::boot().quiet(),
        "no complaint of the kernel since boot",
    );
    tap.finish()
}
