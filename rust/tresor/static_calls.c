// SPDX-License-Identifier: GPL-2.0
/*
 * The static calls by which the driver reaches the engines. They are in C because only C can define
 * them; src/kmod/engine.rs and src/kmod/engine/modes.rs make the calls and choose their targets.
 */

#include <linux/static_call.h>

/*
 * Where all of them go until an engine is chosen, and for good where none is. It says what engines
 * say on a CPU without a secret: that nothing was done.
 */
static int no_engine(void)
{
	return 1;
}

DEFINE_STATIC_CALL(tresor_xts_enc_128, no_engine);
DEFINE_STATIC_CALL(tresor_xts_dec_128, no_engine);
DEFINE_STATIC_CALL(tresor_xts_enc_256, no_engine);
DEFINE_STATIC_CALL(tresor_xts_dec_256, no_engine);

DEFINE_STATIC_CALL(tresor_ecb_enc_128, no_engine);
DEFINE_STATIC_CALL(tresor_ecb_dec_128, no_engine);
DEFINE_STATIC_CALL(tresor_cbc_enc_128, no_engine);
DEFINE_STATIC_CALL(tresor_cbc_dec_128, no_engine);
DEFINE_STATIC_CALL(tresor_essiv_cbc_enc_128, no_engine);
DEFINE_STATIC_CALL(tresor_essiv_cbc_dec_128, no_engine);
DEFINE_STATIC_CALL(tresor_ctr_128, no_engine);

DEFINE_STATIC_CALL(tresor_ecb_enc_192, no_engine);
DEFINE_STATIC_CALL(tresor_ecb_dec_192, no_engine);
DEFINE_STATIC_CALL(tresor_cbc_enc_192, no_engine);
DEFINE_STATIC_CALL(tresor_cbc_dec_192, no_engine);
DEFINE_STATIC_CALL(tresor_essiv_cbc_enc_192, no_engine);
DEFINE_STATIC_CALL(tresor_essiv_cbc_dec_192, no_engine);
DEFINE_STATIC_CALL(tresor_ctr_192, no_engine);

DEFINE_STATIC_CALL(tresor_ecb_enc_256, no_engine);
DEFINE_STATIC_CALL(tresor_ecb_dec_256, no_engine);
DEFINE_STATIC_CALL(tresor_cbc_enc_256, no_engine);
DEFINE_STATIC_CALL(tresor_cbc_dec_256, no_engine);
DEFINE_STATIC_CALL(tresor_essiv_cbc_enc_256, no_engine);
DEFINE_STATIC_CALL(tresor_essiv_cbc_dec_256, no_engine);
DEFINE_STATIC_CALL(tresor_ctr_256, no_engine);
