/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A public S in the home of S, for the crypto API's self tests before any pass phrase was asked
 *
 * Assembly, because only the windows put anything into the home of S. Context: within
 * kernel_fpu_begin()/kernel_fpu_end(), process context. tresor_clear_s() takes it away.
 */

#include <linux/linkage.h>
#include "window.inc"

ENGINE_TEXT

/* void tresor_set_public_s(const u8 s[32]): the public S on this CPU */
SYM_FUNC_START(tresor_set_public_s)
	movdqu	(%rdi), %xmm0
	movdqu	16(%rdi), %xmm1
	CALL_WINDOW tresor_store_s
	WIPE_XMM
	RET
SYM_FUNC_END(tresor_set_public_s)
