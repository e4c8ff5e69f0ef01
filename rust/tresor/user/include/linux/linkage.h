/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the engines need of the kernel's <linux/linkage.h>, for user space
 *
 * The names are the kernel's, so that its assembly files assemble unchanged; RET is a plain return, without a return thunk.
 */

#ifndef TRESOR_USER_LINKAGE_H
#define TRESOR_USER_LINKAGE_H

#define SYM_START(name, ...)		\
	.p2align 4;			\
	.type name, @function;		\
name:
#define SYM_FUNC_START_LOCAL(name)	\
	SYM_START(name)			\
	endbr64
#define SYM_FUNC_START(name)		\
	.globl name;			\
	SYM_FUNC_START_LOCAL(name)
#define SYM_FUNC_START_NOALIGN(name)	SYM_FUNC_START(name)
#define SYM_FUNC_END(name)		\
	.size name, . - name

#define RET				ret

	.section .note.GNU-stack, "", @progbits
	.text

#endif
