// SPDX-License-Identifier: GPL-2.0

//! The guest's device tree.

use crate::{
    devices::{
        RTC,
        RTC_SIZE,
        RTC_SOURCE,
        UART,
        UART_SIZE,
        UART_SOURCE, //
    },
    pci, //
};
use std::{
    fs,
    ops::Range, //
};
use vm_fdt::FdtWriter;
use vmm::{
    abi::{
        APLIC_BASE,
        RAM_BASE, //
    },
    regs::aplic,
    Config,
    Context,
    Error,
    Result, //
};

/// phandles: vCPU n's local controller has CPU + n.
const APLIC: u32 = 1;
const IMSIC: u32 = 2;
const CPU: u32 = 16;

/// The supervisor external interrupt of a local controller.
const IRQ_S_EXT: u32 = 9;
/// Kinds of an APLIC's sources.
pub const EDGE_RISING: u32 = 1;
pub const LEVEL_HIGH: u32 = 4;

/// ISA extensions that KVM has for guests as soon as the host has them, and that
/// need no other property.
const EXTENSIONS: [&str; 19] = [
    "i",
    "m",
    "a",
    "f",
    "d",
    "c",
    "ssaia",
    "sstc",
    "svinval",
    "svnapot",
    "zba",
    "zbb",
    "zbs",
    "zicntr",
    "zicsr",
    "zifencei",
    "zihintpause",
    "zihpm",
    "zawrs",
];

/// What guests have of the machine below.
#[derive(Debug)]
pub struct Host {
    extensions: Vec<String>,
    timebase: u32,
}

impl Host {
    /// Reads its device tree.
    pub fn look() -> Result<Self> {
        const CPUS: &str = "/proc/device-tree/cpus";
        let read = |name: &str| fs::read(format!("{CPUS}/{name}")).context(name);
        let timebase = read("timebase-frequency")?;
        let extensions: Vec<String> = read("cpu@0/riscv,isa-extensions")?
            .split(|&b| b == 0)
            .map(|e| String::from_utf8_lossy(e).into_owned())
            .filter(|e| EXTENSIONS.contains(&e.as_str()))
            .collect();

        if !extensions.iter().any(|e| e == "ssaia") {
            return Err(Error::new("harts without Ssaia"));
        }
        Ok(Self {
            extensions,
            timebase: u32::from_be_bytes(
                timebase
                    .try_into()
                    .map_err(|_| Error::new("timebase-frequency is not a cell"))?,
            ),
        })
    }
}

/// The guest's machine.
#[derive(Debug)]
pub struct Board<'a> {
    /// vCPUs, sources, and where the IMSICs are.
    pub cfg: &'a Config,
    /// Largest identity.
    pub ids: u32,
    /// Bytes of RAM.
    pub ram: u64,
    /// Kernel command line.
    pub bootargs: String,
    /// The kind of the UART's source.
    pub uart: u32,
    /// Guest-physical addresses of the initramfs.
    pub initrd: Range<u64>,
}

impl Board<'_> {
    /// The tree as a blob.
    pub fn tree(&self, host: &Host) -> Result<Vec<u8>, vm_fdt::Error> {
        let mut fdt = FdtWriter::new()?;
        let root = fdt.begin_node("")?;

        fdt.property_u32("#address-cells", 2)?;
        fdt.property_u32("#size-cells", 2)?;
        fdt.property_string("compatible", "linux,dummy-virt")?;
        fdt.property_string("model", "vmm-linux")?;

        let chosen = fdt.begin_node("chosen")?;

        fdt.property_string("bootargs", &self.bootargs)?;
        fdt.property_u64("linux,initrd-start", self.initrd.start)?;
        fdt.property_u64("linux,initrd-end", self.initrd.end)?;
        fdt.end_node(chosen)?;

        let memory = fdt.begin_node(&format!("memory@{RAM_BASE:x}"))?;

        fdt.property_string("device_type", "memory")?;
        fdt.property_array_u64("reg", &[RAM_BASE, self.ram])?;
        fdt.end_node(memory)?;

        self.cpus(&mut fdt, host)?;

        let soc = fdt.begin_node("soc")?;

        fdt.property_string("compatible", "simple-bus")?;
        fdt.property_u32("#address-cells", 2)?;
        fdt.property_u32("#size-cells", 2)?;
        fdt.property_null("ranges")?;
        self.controllers(&mut fdt)?;

        let uart = fdt.begin_node(&format!("serial@{UART:x}"))?;

        fdt.property_string("compatible", "ns16550a")?;
        fdt.property_array_u64("reg", &[UART, UART_SIZE])?;
        fdt.property_u32("clock-frequency", 3_686_400)?;
        fdt.property_array_u32("interrupts-extended", &[APLIC, UART_SOURCE, self.uart])?;
        fdt.end_node(uart)?;

        let rtc = fdt.begin_node(&format!("rtc@{RTC:x}"))?;

        fdt.property_string("compatible", "google,goldfish-rtc")?;
        fdt.property_array_u64("reg", &[RTC, RTC_SIZE])?;
        fdt.property_array_u32("interrupts-extended", &[APLIC, RTC_SOURCE, LEVEL_HIGH])?;
        fdt.end_node(rtc)?;

        self.pci(&mut fdt)?;

        fdt.end_node(soc)?;
        fdt.end_node(root)?;
        fdt.finish()
    }

    fn cpus(&self, fdt: &mut FdtWriter, host: &Host) -> Result<(), vm_fdt::Error> {
        let cpus = fdt.begin_node("cpus")?;

        fdt.property_u32("#address-cells", 1)?;
        fdt.property_u32("#size-cells", 0)?;
        fdt.property_u32("timebase-frequency", host.timebase)?;
        for index in 0..self.cfg.vcpus as u32 {
            let cpu = fdt.begin_node(&format!("cpu@{index:x}"))?;

            fdt.property_string("device_type", "cpu")?;
            fdt.property_string("compatible", "riscv")?;
            fdt.property_u32("reg", index)?;
            fdt.property_string("status", "okay")?;
            fdt.property_string("mmu-type", "riscv,sv39")?;
            fdt.property_string("riscv,isa-base", "rv64i")?;
            fdt.property_string_list("riscv,isa-extensions", host.extensions.clone())?;

            let local = fdt.begin_node("interrupt-controller")?;

            fdt.property_string("compatible", "riscv,cpu-intc")?;
            fdt.property_null("interrupt-controller")?;
            fdt.property_u32("#interrupt-cells", 1)?;
            fdt.property_phandle(CPU + index)?;
            fdt.end_node(local)?;
            fdt.end_node(cpu)?;
        }
        fdt.end_node(cpus)
    }

    fn pci(&self, fdt: &mut FdtWriter) -> Result<(), vm_fdt::Error> {
        /// Memory below 4 GiB, in the first cell of an address.
        const MEMORY_32: u32 = 0x0200_0000;
        let words = |n: u64| [(n >> 32) as u32, n as u32];
        let [base_high, base] = words(pci::MEMORY);
        let [size_high, size] = words(pci::MEMORY_SIZE);
        let node = fdt.begin_node(&format!("pci@{:x}", pci::CONFIG))?;

        fdt.property_string("compatible", "pci-host-ecam-generic")?;
        fdt.property_string("device_type", "pci")?;
        fdt.property_array_u64("reg", &[pci::CONFIG, pci::CONFIG_SIZE])?;
        fdt.property_u32("#address-cells", 3)?;
        fdt.property_u32("#size-cells", 2)?;
        fdt.property_array_u32(
            "ranges",
            &[MEMORY_32, base_high, base, base_high, base, size_high, size],
        )?;
        fdt.property_array_u32("bus-range", &[0, 0])?;
        fdt.property_u32("msi-parent", IMSIC)?;
        fdt.end_node(node)
    }

    fn controllers(&self, fdt: &mut FdtWriter) -> Result<(), vm_fdt::Error> {
        let base = self.cfg.imsic_page(0);
        let size = self.cfg.imsic_page(self.cfg.vcpus) - base;
        let parents: Vec<u32> = (0..self.cfg.vcpus as u32)
            .flat_map(|index| [CPU + index, IRQ_S_EXT])
            .collect();
        let imsic = fdt.begin_node(&format!("imsics@{base:x}"))?;

        fdt.property_string("compatible", "riscv,imsics")?;
        fdt.property_array_u64("reg", &[base, size])?;
        fdt.property_null("interrupt-controller")?;
        fdt.property_u32("#interrupt-cells", 0)?;
        fdt.property_null("msi-controller")?;
        fdt.property_u32("#msi-cells", 0)?;
        fdt.property_array_u32("interrupts-extended", &parents)?;
        fdt.property_u32("riscv,num-ids", self.ids)?;
        fdt.property_phandle(IMSIC)?;
        fdt.end_node(imsic)?;

        let node = fdt.begin_node(&format!("interrupt-controller@{APLIC_BASE:x}"))?;

        fdt.property_string("compatible", "riscv,aplic")?;
        fdt.property_array_u64("reg", &[APLIC_BASE, aplic::SIZE.into()])?;
        fdt.property_null("interrupt-controller")?;
        fdt.property_u32("#interrupt-cells", 2)?;
        fdt.property_u32("#address-cells", 0)?;
        fdt.property_u32("riscv,num-sources", self.cfg.sources)?;
        fdt.property_u32("msi-parent", IMSIC)?;
        fdt.property_phandle(APLIC)?;
        fdt.end_node(node)
    }
}
