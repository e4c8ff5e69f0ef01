// SPDX-License-Identifier: GPL-2.0

#include <linux/cc_platform.h>
#include <asm/msr.h>

__rust_helper int rust_helper_rdmsrq_safe(u32 msr, u64 *value)
{
	return rdmsrq_safe(msr, value);
}

__rust_helper int rust_helper_wrmsrq_safe(u32 msr, u64 value)
{
	return wrmsrq_safe(msr, value);
}

/* X86_VENDOR_* */
__rust_helper unsigned int rust_helper_boot_cpu_vendor(void)
{
	return boot_cpu_data.x86_vendor;
}

/* Whether this is a guest whose registers are hidden from its hypervisor. */
__rust_helper bool rust_helper_guest_state_is_encrypted(void)
{
	return cc_platform_has(CC_ATTR_GUEST_STATE_ENCRYPT);
}
