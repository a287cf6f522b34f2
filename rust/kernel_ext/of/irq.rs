// SPDX-License-Identifier: GPL-2.0

//! Interrupts of device-tree nodes.
//!
//! C header: [`include/linux/of_irq.h`](srctree/include/linux/of_irq.h)

use kernel::{
    bindings,
    device::property::FwNode,
    error::to_result,
    fmt,
    prelude::*, //
};

use crate::arch::riscv;

/// A parent interrupt of a node: the controller and the specifier.
///
/// # Examples
///
/// ```
/// use kernel::{device::property::FwNode, prelude::*};
/// use kernel_ext::{arch::riscv, of::irq::ParsedIrq};
///
/// /// The hart that the first parent interrupt belongs to, if that is the external interrupt.
/// fn first_hart(node: &FwNode) -> Result<usize> {
///     let parent = ParsedIrq::parse(node, 0)?;
///
///     if parent.specifier() != [riscv::IRQ_EXT] {
///         return Err(EINVAL);
///     }
///     parent.hartid()
/// }
/// ```
///
/// # Invariants
///
/// `args.np` is a node on which this value holds a reference.
pub struct ParsedIrq {
    args: bindings::of_phandle_args,
}

impl ParsedIrq {
    /// Parses the parent interrupt number `index` of `fwnode`.
    ///
    /// Fails with `EINVAL` if there is none of that number or it is malformed.
    pub fn parse(fwnode: &FwNode, index: u32) -> Result<Self> {
        let mut args = bindings::of_phandle_args::default();
        let node = super::node(fwnode);

        if node.is_null() {
            return Err(EINVAL);
        }
        let index = c_int::try_from(index)?;

        // SAFETY: The node is valid, and so are the arguments that are filled.
        to_result(unsafe { bindings::of_irq_parse_one(node, index, &mut args) })?;

        // INVARIANT: The parser took a reference on the controller's node.
        Ok(Self { args })
    }

    /// The cells of the interrupt specifier.
    pub fn specifier(&self) -> &[u32] {
        let count = usize::try_from(self.args.args_count).unwrap_or(0);

        self.args.args.get(..count).unwrap_or_default()
    }

    /// The hart whose interrupt controller the parent is.
    pub fn hartid(&self) -> Result<usize> {
        let mut hartid = 0;

        // SAFETY: The node is valid by the type invariant, and so is the number that is filled.
        to_result(unsafe { bindings::riscv_of_parent_hartid(self.args.np, &mut hartid) })?;
        Ok(hartid)
    }
}

impl Drop for ParsedIrq {
    fn drop(&mut self) {
        // SAFETY: The reference is ours by the type invariant.
        unsafe { bindings::fwnode_handle_put(bindings::of_fwnode_handle(self.args.np)) };
    }
}

/// What is wrong with the parent interrupts of an interrupt controller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParentsError {
    /// There are none.
    Missing,
    /// Number `index` cannot be parsed.
    Malformed {
        /// Counted from zero.
        index: usize,
    },
    /// Number `index` is another interrupt than the kernel's external interrupt.
    Level {
        /// Counted from zero.
        index: usize,
        /// The interrupt that it is.
        hwirq: u32,
    },
    /// Number `index` does not belong to a hart.
    NoHart {
        /// Counted from zero.
        index: usize,
    },
    /// Number `index` belongs to the same hart as an earlier one.
    Duplicate {
        /// Counted from zero.
        index: usize,
        /// The hart.
        hartid: usize,
    },
    /// Out of memory.
    NoMemory,
}

impl fmt::Display for ParentsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("no parent interrupts"),
            Self::Malformed { index } => write!(f, "entry {index} is malformed"),
            Self::Level { index, hwirq } => write!(
                f,
                "entry {index} is interrupt {hwirq}, not the kernel's external interrupt"
            ),
            Self::NoHart { index } => write!(f, "entry {index} belongs to no hart"),
            Self::Duplicate { index, hartid } => {
                write!(f, "entry {index} names hart {hartid} again")
            }
            Self::NoMemory => f.write_str("out of memory"),
        }
    }
}

impl From<ParentsError> for Error {
    fn from(error: ParentsError) -> Self {
        match error {
            ParentsError::NoMemory => ENOMEM,
            _ => EINVAL,
        }
    }
}

/// Reads the harts that a controller interrupts: the hart IDs of its parent interrupts, in order.
///
/// Each has to be the external interrupt of the kernel's privilege level at a hart of its own.
///
/// # Examples
///
/// ```
/// use kernel::{cpu::CpuId, device::property::FwNode, prelude::*};
/// use kernel_ext::{arch::riscv, of, refuse};
///
/// /// The first CPU that the controller interrupts.
/// fn first_cpu(node: &FwNode) -> Result<CpuId> {
///     let hartids = of::irq::parent_harts(node)
///         .map_err(|error| refuse!(node, "interrupts-extended", "{}", error))?;
///
///     hartids.iter().find_map(|hartid| riscv::cpu_of_hart(*hartid)).ok_or(ENODEV)
/// }
/// ```
pub fn parent_harts(fwnode: &FwNode) -> Result<KVec<usize>, ParentsError> {
    let mut hartids = KVec::new();

    while let Some(parent) = u32::try_from(hartids.len())
        .ok()
        .and_then(|index| ParsedIrq::parse(fwnode, index).ok())
    {
        let index = hartids.len();

        match parent.specifier().first() {
            Some(&hwirq) if hwirq == riscv::IRQ_EXT => {}
            Some(&hwirq) => return Err(ParentsError::Level { index, hwirq }),
            None => return Err(ParentsError::Malformed { index }),
        }
        let hartid = parent
            .hartid()
            .map_err(|_| ParentsError::NoHart { index })?;
        if hartids.contains(&hartid) {
            return Err(ParentsError::Duplicate { index, hartid });
        }
        hartids
            .push(hartid, GFP_KERNEL)
            .map_err(|_| ParentsError::NoMemory)?;
    }

    const EXTENDED: &CStr = c"interrupts-extended";
    let index = hartids.len();

    // A malformed entry ends the list just as its end does, hence the cells are counted: a phandle
    // and an interrupt each.
    if fwnode.property_present(EXTENDED)
        && fwnode.property_count_elem::<u32>(EXTENDED) != Ok(2 * index)
    {
        return Err(ParentsError::Malformed { index });
    }
    if index == 0 {
        return Err(ParentsError::Missing);
    }
    Ok(hartids)
}
