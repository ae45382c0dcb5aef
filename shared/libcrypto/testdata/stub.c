/* A library with the functions of OpenSSL 3 that the binding calls. VERSION is what
   it says of its version. It answers every question with zeros. */
#include <stddef.h>
#include <string.h>

static int handle;

unsigned long OpenSSL_version_num(void) { return VERSION; }
int OPENSSL_init_crypto(unsigned long long options, const void *settings) { return INIT; }
void *d2i_AutoPrivateKey(void **key, const unsigned char **der, long size) { return KEY; }
void EVP_PKEY_free(void *key) {}
void *EVP_PKEY_CTX_new(void *key, void *engine) { return &handle; }
void EVP_PKEY_CTX_free(void *context) {}
int EVP_PKEY_decrypt_init(void *context) { return 1; }
int EVP_PKEY_CTX_set_rsa_padding(void *context, int padding) { return 1; }
#ifndef NO_DECRYPT
int EVP_PKEY_decrypt(void *context, unsigned char *out, size_t *size, const unsigned char *in, size_t in_size)
{
	memset(out, 0, *size);
	return 1;
}
#endif
