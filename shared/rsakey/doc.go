// Package rsakey makes and reads the RSA key pairs to whose public halves
// WeCom encrypts, and keeps private keys ready for use in a [Ring].
//
// WeCom takes 2048-bit keys only (document 91361, wecom.md 1.6). The package
// stores nothing: where private keys live is said by [PrivateKeys].
package rsakey
