/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The homes that the register secret can have in model-specific registers
 *
 * This list is the only place where the registers are named: the assembly that moves the secret
 * (drivers/crypto/tresor/asm/amnesia/window-msr.S), the choice between the homes (asm/home.S) and
 * the kernel's refusals (arch/x86/kernel/msr_owner.c), whose table the driver reads, too, are all
 * made of it.
 */

#ifndef _ASM_X86_MSR_HOME_H
#define _ASM_X86_MSR_HOME_H

/*
 * MSR_HOMES(home): home(number, name, width, registers...) for each
 *
 * The number is the value of tresor_home while S lives there; 0 stands for DR0-DR3. The registers
 * hold S one after the other, width bits each, little-endian; what the last ones have too many is
 * zero.
 *
 * mce: ADDR and MISC of the machine-check banks 8 and 9. They keep 64 bits in QEMU, which invents
 * no errors in them. Real hardware may write them, clear them, or refuse values: for tests in
 * emulators.
 *
 * intel: IA32_A_PMC0 to 5, the names of the general performance counters under which all their bits
 * can be written (SDM Vol. 3, "Full-Width Writes to Performance Counter Registers").
 *
 * amd: PERF_CTR0 to 5, the counters of a core (APM Vol. 2, "Performance Monitoring Counters").
 */
#define MSR_HOMES(home)								\
	home(1, mce, 64, 0x422, 0x423, 0x426, 0x427)				\
	home(2, intel, 48, 0x4c1, 0x4c2, 0x4c3, 0x4c4, 0x4c5, 0x4c6)		\
	home(3, amd, 48, 0xc0010201, 0xc0010203, 0xc0010205, 0xc0010207,	\
	     0xc0010209, 0xc001020b)

/* From this bank on, machine-check banks are left to the home mce if it is wanted. */
#define MSR_HOME_MCE_FIRST_BANK	8

#endif /* _ASM_X86_MSR_HOME_H */
