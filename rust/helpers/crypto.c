// SPDX-License-Identifier: GPL-2.0

#include <crypto/internal/skcipher.h>

__rust_helper void *rust_helper_crypto_skcipher_ctx(struct crypto_skcipher *tfm)
{
	return crypto_skcipher_ctx(tfm);
}

__rust_helper struct skcipher_alg *
rust_helper_crypto_skcipher_alg(struct crypto_skcipher *tfm)
{
	return crypto_skcipher_alg(tfm);
}

__rust_helper struct crypto_skcipher *
rust_helper_crypto_skcipher_reqtfm(struct skcipher_request *req)
{
	return crypto_skcipher_reqtfm(req);
}

__rust_helper void *
rust_helper_skcipher_request_ctx(struct skcipher_request *req)
{
	return skcipher_request_ctx(req);
}

__rust_helper void
rust_helper_skcipher_request_complete(struct skcipher_request *req, int err)
{
	skcipher_request_complete(req, err);
}
