// SPDX-License-Identifier: GPL-2.0

//! Programs of a guest, in instructions of four bytes each: a trap skips the instruction, an interrupt
//! takes all enables of `sie` back.
//!
//! Each instruction finds its operands behind `s0`, which goes on: no constant has to be made in code.

/// Where programs tell the VMM that they have ended.
pub const DOORBELL: u64 = vmm::abi::DOORBELL;

/// Bytes of a program and its operands.
pub const SIZE: usize = 0x1000;
/// Where the operands are.
pub const OPERANDS: usize = 0x800;
/// As many instructions as fit.
pub const MOST: usize = 24;

const ZERO: u32 = 0;
const A0: u32 = 10;
const A1: u32 = 11;
const A2: u32 = 12;
const A6: u32 = 16;
const A7: u32 = 17;
const S0: u32 = 8;
const T0: u32 = 5;
const T1: u32 = 6;
const T2: u32 = 7;
const T5: u32 = 30;
const T6: u32 = 31;

const SIE: u32 = 0x104;
const SEPC: u32 = 0x141;
const SCAUSE: u32 = 0x142;
const SISELECT: u32 = 0x150;
const SIREG: u32 = 0x151;

const SRET: u32 = 0x1020_0073;
const WFI: u32 = 0x1050_0073;
const ECALL: u32 = 0x0000_0073;

/// How a CSR is accessed: by the instruction of that name.
#[derive(Clone, Copy, Debug)]
pub enum Access {
    /// csrrw
    Write = 1,
    /// csrrs
    Set = 2,
    /// csrrc
    Clear = 3,
}

/// What a guest does.
#[derive(Clone, Copy, Debug)]
pub enum Instruction {
    /// Stores so many bytes, as a power of two.
    Store { addr: u64, value: u64, size: u32 },
    /// Loads them.
    Load { addr: u64, size: u32 },
    /// Accesses a CSR.
    Csr {
        number: u32,
        access: Access,
        value: u64,
    },
    /// Accesses a register of the interrupt file.
    Register {
        select: u64,
        access: Access,
        value: u64,
    },
    /// Waits for an interrupt.
    Wait,
    /// Calls the SBI.
    Sbi {
        extension: u64,
        function: u8,
        args: [u64; 3],
    },
}

/// I-type: addi, loads, CSRs.
const fn i(opcode: u32, funct3: u32, rd: u32, rs1: u32, imm: u32) -> u32 {
    opcode | rd << 7 | funct3 << 12 | rs1 << 15 | imm << 20
}

/// S-type without an offset: stores.
const fn s(funct3: u32, rs1: u32, rs2: u32) -> u32 {
    0x23 | funct3 << 12 | rs1 << 15 | rs2 << 20
}

const fn ld(rd: u32, rs1: u32, offset: u32) -> u32 {
    i(0x03, 3, rd, rs1, offset)
}

const fn addi(rd: u32, rs1: u32, imm: u32) -> u32 {
    i(0x13, 0, rd, rs1, imm)
}

const fn csr(access: Access, rd: u32, number: u32, rs1: u32) -> u32 {
    i(0x73, access as u32, rd, rs1, number)
}

/// What handles traps, at the start of each program.
const HANDLER: [u32; 8] = [
    csr(Access::Set, T5, SCAUSE, ZERO),
    // bltz t5, to the second but last
    0x000f_4a63,
    csr(Access::Set, T6, SEPC, ZERO),
    addi(T6, T6, 4),
    csr(Access::Write, ZERO, SEPC, T6),
    SRET,
    csr(Access::Write, ZERO, SIE, ZERO),
    SRET,
];

/// Offset of the first instruction in the program.
pub const ENTRY: u64 = 4 * HANDLER.len() as u64;

/// The bytes of a program that executes these instructions, [`MOST`] at most, and rings the doorbell.
pub fn assemble(instructions: &[Instruction]) -> Vec<u8> {
    let mut words = HANDLER.to_vec();
    let mut operands = Vec::new();

    for instruction in &instructions[..instructions.len().min(MOST)] {
        // Two for each, whether it needs them or not.
        words.extend([ld(T0, S0, 0), ld(T1, S0, 8), addi(S0, S0, 16)]);
        match *instruction {
            Instruction::Store { addr, value, size } => {
                operands.extend([addr, value]);
                words.push(s(size & 3, T0, T1));
            }
            Instruction::Load { addr, size } => {
                operands.extend([addr, 0]);
                words.push(i(0x03, size & 3, T2, T0, 0));
            }
            Instruction::Csr {
                number,
                access,
                value,
            } => {
                operands.extend([0, value]);
                words.push(csr(access, T2, number & 0xfff, T1));
            }
            Instruction::Register {
                select,
                access,
                value,
            } => {
                operands.extend([select, value]);
                words.extend([
                    csr(Access::Write, ZERO, SISELECT, T0),
                    csr(access, T2, SIREG, T1),
                ]);
            }
            Instruction::Wait => {
                operands.extend([0, 0]);
                words.push(WFI);
            }
            Instruction::Sbi {
                extension,
                function,
                args,
            } => {
                operands.extend([extension, function.into(), args[0], args[1], args[2], 0]);
                words.extend([
                    addi(A7, T0, 0),
                    addi(A6, T1, 0),
                    ld(A0, S0, 0),
                    ld(A1, S0, 8),
                    ld(A2, S0, 16),
                    addi(S0, S0, 32),
                    ECALL,
                ]);
            }
        }
    }
    operands.push(DOORBELL);
    // Again and again: whoever runs it further finds it at its end.
    words.extend([ld(T0, S0, 0), s(3, T0, ZERO), 0xffdf_f06f]);

    let mut bytes = vec![0; SIZE];

    for (n, word) in words.iter().enumerate() {
        bytes[4 * n..4 * n + 4].copy_from_slice(&word.to_le_bytes());
    }
    for (n, operand) in operands.iter().enumerate() {
        let at = OPERANDS + 8 * n;

        bytes[at..at + 8].copy_from_slice(&operand.to_le_bytes());
    }
    bytes
}
