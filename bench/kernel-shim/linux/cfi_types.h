/* SPDX-License-Identifier: GPL-2.0 */
/* What the kernel's AES files need of its <linux/cfi_types.h>: nothing checks the type of a function in user space. */

#define SYM_TYPED_FUNC_START(name)	SYM_FUNC_START(name)
