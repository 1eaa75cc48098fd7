//! The instruction set of the virtual machine.
//!
//! An instruction is 32 bits: the opcode in the lowest 6, then A (8 bits), C (9) and B (9). Bx is C
//! and B as one 18-bit number, and sBx is Bx minus [`BIAS`]. Where a comment says RK, a value of
//! [`CONSTANT`] or more refers to a constant, a smaller one to a register.

/// The first value of B or C that refers to a constant.
pub(crate) const CONSTANT: u32 = 256;
/// The largest Bx.
pub(crate) const MAX_BX: u32 = (1 << 18) - 1;
/// The offset that is added to sBx in storage.
pub(crate) const BIAS: i32 = (MAX_BX >> 1) as i32;
/// The largest A.
pub(crate) const MAX_A: u32 = 255;

macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $n:literal;)*) => {
        $($(#[$doc])* pub(crate) const $name: u32 = $n;)*
    };
}

operations! {
    /// R(A) = R(B)
    MOVE = 0;
    /// R(A) = K(Bx)
    LOADK = 1;
    /// R(A) = B != 0; skip the next instruction if C != 0
    LOADBOOL = 2;
    /// R(A), ..., R(B) = nil
    LOADNIL = 3;
    /// R(A) = upvalue B
    GETUPVAL = 4;
    /// R(A) = global K(Bx)
    GETGLOBAL = 5;
    /// R(A) = R(B)[RK(C)]
    GETTABLE = 6;
    /// global K(Bx) = R(A)
    SETGLOBAL = 7;
    /// upvalue B = R(A)
    SETUPVAL = 8;
    /// R(A)[RK(B)] = RK(C)
    SETTABLE = 9;
    /// R(A) = {}, with room for B elements and C pairs (both as [`to_float_byte`] makes them)
    NEWTABLE = 10;
    /// R(A+1) = R(B); R(A) = R(B)[RK(C)]
    SELF = 11;
    /// R(A) = RK(B) + RK(C), and so for the next five
    ADD = 12;
    SUB = 13;
    MUL = 14;
    DIV = 15;
    MOD = 16;
    POW = 17;
    /// R(A) = -R(B)
    UNM = 18;
    /// R(A) = not R(B)
    NOT = 19;
    /// R(A) = #R(B)
    LEN = 20;
    /// R(A) = R(B) .. ... .. R(C)
    CONCAT = 21;
    /// pc += sBx
    JMP = 22;
    /// if (RK(B) == RK(C)) != A then pc++, and so for the next two
    EQ = 23;
    LT = 24;
    LE = 25;
    /// if R(A) is not C then pc++
    TEST = 26;
    /// if R(B) is C then R(A) = R(B) else pc++
    TESTSET = 27;
    /// R(A), ..., R(A+C-2) = R(A)(R(A+1), ..., R(A+B-1)); B = 0: up to the top; C = 0: all results
    CALL = 28;
    /// return R(A)(R(A+1), ..., R(A+B-1))
    TAILCALL = 29;
    /// return R(A), ..., R(A+B-2); B = 0: up to the top
    RETURN = 30;
    /// R(A) += R(A+2); if not past R(A+1) then pc += sBx and R(A+3) = R(A)
    FORLOOP = 31;
    /// R(A) -= R(A+2); pc += sBx
    FORPREP = 32;
    /// R(A+3), ..., R(A+2+C) = R(A)(R(A+1), R(A+2)); if R(A+3) is nil then pc++ else R(A+2) = R(A+3)
    TFORLOOP = 33;
    /// R(A)[(C-1)*50 + i] = R(A+i) for i up to B; B = 0: up to the top; C = 0: C is the next word
    SETLIST = 34;
    /// close the upvalues from R(A) on
    CLOSE = 35;
    /// R(A) = closure of child Bx; a MOVE or GETUPVAL for each upvalue follows
    CLOSURE = 36;
    /// R(A), ..., R(A+B-2) = ...; B = 0: all
    VARARG = 37;
    /// A line begins: `run` ends with it, so that a debugger may stop here
    LINE = 38;
}

pub(crate) const fn op(i: u32) -> u32 {
    i & 63
}

pub(crate) const fn a(i: u32) -> u32 {
    i >> 6 & 255
}

pub(crate) const fn b(i: u32) -> u32 {
    i >> 23
}

pub(crate) const fn c(i: u32) -> u32 {
    i >> 14 & 511
}

pub(crate) const fn bx(i: u32) -> u32 {
    i >> 14
}

pub(crate) const fn sbx(i: u32) -> i32 {
    bx(i) as i32 - BIAS
}

pub(crate) const fn abc(op: u32, a: u32, b: u32, c: u32) -> u32 {
    op | a << 6 | c << 14 | b << 23
}

pub(crate) const fn abx(op: u32, a: u32, bx: u32) -> u32 {
    op | a << 6 | bx << 14
}

pub(crate) const fn with_a(i: u32, a: u32) -> u32 {
    i & !(255 << 6) | a << 6
}

pub(crate) const fn with_b(i: u32, b: u32) -> u32 {
    i & !(511 << 23) | b << 23
}

pub(crate) const fn with_c(i: u32, c: u32) -> u32 {
    i & !(511 << 14) | c << 14
}

pub(crate) const fn with_sbx(i: u32, sbx: i32) -> u32 {
    i & 0x3fff | ((sbx + BIAS) as u32) << 14
}

/// Whether an operation sets R(A).
pub(crate) const fn sets_a(op: u32) -> bool {
    !matches!(
        op,
        SETGLOBAL
            | SETUPVAL
            | SETTABLE
            | JMP
            | EQ
            | LT
            | LE
            | TEST
            | RETURN
            | LINE
            | TFORLOOP
            | SETLIST
            | CLOSE
    )
}

/// Whether an operation is a test, which is followed by a jump.
pub(crate) const fn is_test(op: u32) -> bool {
    matches!(op, EQ | LT | LE | TEST | TESTSET | TFORLOOP)
}

/// Encodes a size as (1xxx) << (eeeee - 1) in 8 bits, rounded up: the size hints of table
/// constructors.
pub(crate) fn to_float_byte(size: u32) -> u32 {
    let (mut x, mut e) = (size, 0);
    while x >= 16 {
        x = (x + 1) >> 1;
        e += 1;
    }
    if x < 8 { x } else { (e + 1) << 3 | (x - 8) }
}

/// Decodes a size that [`to_float_byte`] encoded.
pub(crate) fn from_float_byte(x: u32) -> u32 {
    match x >> 3 & 31 {
        0 => x,
        e => ((x & 7) + 8) << (e - 1),
    }
}
