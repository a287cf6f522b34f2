// SPDX-License-Identifier: GPL-2.0

//! Numbers of the specification: registers of the IMSIC and the APLIC.

/// Registers of an interrupt file, by their numbers for siselect (section 3.7).
pub mod imsic {
    /// Interrupt delivery enable.
    pub const EIDELIVERY: u32 = 0x70;
    /// Interrupt enable threshold.
    pub const EITHRESHOLD: u32 = 0x72;
    /// First of the 64 arrays of pending bits, of which RV64 has the even ones.
    pub const EIP0: u32 = 0x80;
    /// First of the 64 arrays of enable bits.
    pub const EIE0: u32 = 0xc0;
    /// The last register.
    pub const LAST: u32 = 0xff;

    /// Offset of the port for identities in little-endian order, in the page of a file.
    pub const SETEIPNUM_LE: u64 = 0;
    /// The same in big-endian order.
    pub const SETEIPNUM_BE: u64 = 4;
}

/// Registers of the first 16 KiB of an APLIC domain, by their offsets (section 4.5).
pub mod aplic {
    /// Size of the region.
    pub const SIZE: u32 = 0x4000;
    /// Domain configuration.
    pub const DOMAINCFG: u32 = 0x0000;
    /// Source configuration of source 0, which is none.
    pub const SOURCECFG: u32 = 0x0000;
    /// Pending bits of 32 sources, set by writing ones.
    pub const SETIP: u32 = 0x1c00;
    /// Sets a pending bit by its number.
    pub const SETIPNUM: u32 = 0x1cdc;
    /// Rectified inputs; writing ones clears pending bits.
    pub const IN_CLRIP: u32 = 0x1d00;
    /// Clears a pending bit by its number.
    pub const CLRIPNUM: u32 = 0x1ddc;
    /// Enable bits, set by writing ones.
    pub const SETIE: u32 = 0x1e00;
    /// Sets an enable bit by its number.
    pub const SETIENUM: u32 = 0x1edc;
    /// Clears enable bits by ones.
    pub const CLRIE: u32 = 0x1f00;
    /// Clears an enable bit by its number.
    pub const CLRIENUM: u32 = 0x1fdc;
    /// setipnum in little-endian order.
    pub const SETIPNUM_LE: u32 = 0x2000;
    /// setipnum in big-endian order.
    pub const SETIPNUM_BE: u32 = 0x2004;
    /// Sends an extempore MSI.
    pub const GENMSI: u32 = 0x3000;
    /// Target of source 0, which is none.
    pub const TARGET: u32 = 0x3000;

    /// Interrupt enable of domaincfg.
    pub const IE: u32 = 1 << 8;
    /// Delivery mode of domaincfg: MSIs.
    pub const DM: u32 = 1 << 2;
    /// Delegation in sourcecfg.
    pub const D: u32 = 1 << 10;

    /// Source modes of sourcecfg.
    pub mod sm {
        /// The source does not exist for the domain.
        pub const INACTIVE: u32 = 0;
        /// Only software makes it pending.
        pub const DETACHED: u32 = 1;
        /// By a rising edge.
        pub const EDGE1: u32 = 4;
        /// By a falling edge.
        pub const EDGE0: u32 = 5;
        /// By a high level.
        pub const LEVEL1: u32 = 6;
        /// By a low level.
        pub const LEVEL0: u32 = 7;
    }

    /// Whether an aligned word at `offset` is a register of a domain in
    /// supervisor mode with so many sources.
    pub fn exists(offset: u32, sources: u32) -> bool {
        let of_sources = |base| (base + 4..=base + 4 * sources).contains(&offset);
        let of_words = |base| (base..base + 4 * (sources + 1).div_ceil(32)).contains(&offset);

        of_sources(SOURCECFG)
            || of_sources(TARGET)
            || [SETIP, IN_CLRIP, SETIE, CLRIE].into_iter().any(of_words)
            || [
                DOMAINCFG,
                SETIPNUM,
                CLRIPNUM,
                SETIENUM,
                CLRIENUM,
                SETIPNUM_LE,
                SETIPNUM_BE,
                GENMSI,
            ]
            .contains(&offset)
    }
}
