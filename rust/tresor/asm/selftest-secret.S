/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A public S in the home of S, for the crypto API's self tests before any pass phrase was asked
 *
 * Assembly, because only the windows write the home of S. Context for both: within
 * kernel_fpu_begin()/kernel_fpu_end(), process context.
 */

#include <linux/linkage.h>
#include "window.inc"

.text

/* void tresor_set_public_s(const u8 s[32]): the public S on this CPU */
SYM_FUNC_START(tresor_set_public_s)
	movdqu	(%rdi), %xmm0
	movdqu	16(%rdi), %xmm1
	CALL_WINDOW tresor_store_s
	WIPE_XMM
	RET
SYM_FUNC_END(tresor_set_public_s)

/* void tresor_clear_s(void): this CPU has no S any more */
SYM_FUNC_START(tresor_clear_s)
	WIPE_XMM
	CALL_WINDOW tresor_store_s
	RET
SYM_FUNC_END(tresor_clear_s)
