// SPDX-License-Identifier: GPL-2.0

//! How devices signal interrupts.
//!
//! C header: [`include/linux/irq.h`](srctree/include/linux/irq.h), `IRQ_TYPE_*`

use kernel::bindings;

/// How a device signals an interrupt.
///
/// # Examples
///
/// The source mode of an APLIC's `sourcecfg` register:
///
/// ```
/// use kernel_ext::irq::trigger::Trigger;
///
/// fn source_mode(trigger: Option<Trigger>) -> u32 {
///     match trigger {
///         None => 0,
///         Some(Trigger::EdgeRising) => 4,
///         Some(Trigger::EdgeFalling) => 5,
///         Some(Trigger::LevelHigh) => 6,
///         Some(Trigger::LevelLow) => 7,
///     }
/// }
///
/// // As the second cell of a specifier has it.
/// assert_eq!(source_mode(Trigger::from_raw(4)), 6);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// Low to high.
    EdgeRising,
    /// High to low.
    EdgeFalling,
    /// As long as it is high.
    LevelHigh,
    /// As long as it is low.
    LevelLow,
}

impl Trigger {
    /// Decodes an `IRQ_TYPE_*`, of which only the lower four bits count; [`None`] for none and for
    /// combinations.
    #[inline]
    pub fn from_raw(raw: u32) -> Option<Self> {
        match raw & bindings::IRQ_TYPE_SENSE_MASK {
            bindings::IRQ_TYPE_EDGE_RISING => Some(Trigger::EdgeRising),
            bindings::IRQ_TYPE_EDGE_FALLING => Some(Trigger::EdgeFalling),
            bindings::IRQ_TYPE_LEVEL_HIGH => Some(Trigger::LevelHigh),
            bindings::IRQ_TYPE_LEVEL_LOW => Some(Trigger::LevelLow),
            _ => None,
        }
    }

    /// The `IRQ_TYPE_*` of the trigger.
    #[inline]
    pub fn to_raw(self) -> u32 {
        match self {
            Trigger::EdgeRising => bindings::IRQ_TYPE_EDGE_RISING,
            Trigger::EdgeFalling => bindings::IRQ_TYPE_EDGE_FALLING,
            Trigger::LevelHigh => bindings::IRQ_TYPE_LEVEL_HIGH,
            Trigger::LevelLow => bindings::IRQ_TYPE_LEVEL_LOW,
        }
    }
}

#[kernel::macros::kunit_tests(kernel_ext_irq_trigger)]
mod tests {
    use super::*;

    #[test]
    fn triggers() {
        for raw in 0..=0x1ff {
            let expected = match raw & 0xf {
                1 => Some(Trigger::EdgeRising),
                2 => Some(Trigger::EdgeFalling),
                4 => Some(Trigger::LevelHigh),
                8 => Some(Trigger::LevelLow),
                _ => None,
            };

            assert_eq!(Trigger::from_raw(raw), expected);
            if let Some(trigger) = expected {
                assert_eq!(trigger.to_raw(), raw & 0xf);
            }
        }
    }
}
