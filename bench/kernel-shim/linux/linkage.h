/* SPDX-License-Identifier: GPL-2.0 */
/* What the kernel's AES files need of its <linux/linkage.h> beyond what our own engines do. */

#include_next <linux/linkage.h>

#define SYM_FUNC_ALIAS_LOCAL(alias, name)	.set alias, name
