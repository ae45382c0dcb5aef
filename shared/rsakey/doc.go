// Package rsakey makes and reads RSA key pairs, and keeps private keys ready for
// use in a [Ring]. WeCom encrypts records to the public key of a pair.
//
// WeCom takes 2048-bit keys only (document 91361, wecom.md 1.6). The package
// stores no key; [PrivateKeys] is the store.
package rsakey
