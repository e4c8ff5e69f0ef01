// SPDX-License-Identifier: GPL-2.0

#include <asm/fpu/api.h>

__rust_helper void rust_helper_kernel_fpu_begin(void)
{
	kernel_fpu_begin();
}
