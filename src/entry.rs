//! Where a static ARM binary starts: it asks the kernel which processor this is, and goes on only where its own instructions
//! run. Elsewhere it says which build is right, and ends with 7, instead of dying of an illegal instruction somewhere.
//!
//! `build.rs` names `sharelock_entry` to the linker. What is here is code for ARMv4, the least that Linux runs on. The kernel
//! leaves on the stack: argc, argv, 0, the environment, 0, and the auxiliary vector of pairs (type, value) that ends with type
//! 0. Of these, AT_PLATFORM is a text such as "v6l" or "v7l", and AT_HWCAP a set of bits. Where a kernel or a loader leaves
//! one out, there is nothing to go by, and the program starts.
//!
//! Other targets need none of this. The build for x86_64 is for the first of them; the one for AArch64, likewise. What newer
//! ones can do beyond (AES, SHA, AVX) is asked for at run time, and used where it is there.
#![allow(unsafe_code)] // `global_asm!`; that it touches nothing but registers is seen below.

/// The digit in AT_PLATFORM: the architecture that the target's instructions are of.
#[cfg(entry = "armv7")]
const ARCHITECTURE: u8 = b'7';
#[cfg(entry = "armv6")]
const ARCHITECTURE: u8 = b'6';

/// The bit in AT_HWCAP: VFPv3, or for ARMv6 any VFP (`arch/arm/include/uapi/asm/hwcap.h`).
#[cfg(entry = "armv7")]
const FLOATING_POINT: u32 = 1 << 13;
#[cfg(entry = "armv6")]
const FLOATING_POINT: u32 = 1 << 6;

#[cfg(entry = "armv7")]
macro_rules! older {
    () => {
        "sharelock: this build is for ARMv7, and this processor is older: take arm-unknown-linux-musleabihf"
    };
}
#[cfg(entry = "armv6")]
macro_rules! older {
    () => {
        "sharelock: this build is for ARMv6 with floating point, and this processor has less: there is none for it"
    };
}

std::arch::global_asm!(
    ".section .text.sharelock_entry, \"ax\", %progbits",
    ".syntax unified",
    ".arm",
    ".p2align 2",
    ".globl sharelock_entry",
    ".type sharelock_entry, %function",
    "sharelock_entry:",
    // Over argc, argv and its 0, then over the environment.
    "ldr r1, [sp]",
    "add r1, sp, r1, lsl #2",
    "add r1, r1, #8",
    "1:",
    "ldr r2, [r1], #4",
    "cmp r2, #0",
    "bne 1b",
    // r4: AT_HWCAP (16), r5: the digit of AT_PLATFORM (15).
    "mvn r4, #0",
    "mov r5, #'9'",
    "2:",
    "ldr r2, [r1], #4",
    "ldr r3, [r1], #4",
    "cmp r2, #16",
    "moveq r4, r3",
    "cmp r2, #15",
    "bne 3f",
    "cmp r3, #0",
    "beq 3f",
    "ldrb r6, [r3]",
    "cmp r6, #'v'",
    "ldrbeq r5, [r3, #1]",
    "3:",
    "cmp r2, #0",
    "bne 2b",
    "cmp r5, #{architecture}",
    "blt 4f",
    "tst r4, #{floating_point}",
    // Everything as the kernel left it, but for registers that mean nothing to it.
    "bne _start",
    // write(2, text, length); exit(7)
    "4:",
    "mov r0, #2",
    "adr r1, 5f",
    "mov r2, #{length}",
    "mov r7, #4",
    "svc #0",
    "mov r0, #7",
    "mov r7, #1",
    "svc #0",
    "5:",
    concat!(".ascii \"", older!(), "\\n\""),
    ".p2align 2",
    ".size sharelock_entry, . - sharelock_entry",
    ".text",
    architecture = const ARCHITECTURE,
    floating_point = const FLOATING_POINT,
    length = const older!().len() + 1,
);
