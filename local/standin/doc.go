// Package standin builds a stand-in for WeCom's closed finance library: a
// shared object with the vendor's C interface (clib/libWeWorkFinanceSdk_C.c)
// that talks plain HTTP to a simulated WeCom, and that can be told to crash,
// hang, leak or print as the real one is known to do.
//
// It is for the local cloud and for tests. Nothing in functions/ or shared/
// knows it; what it makes is loaded in the same way as the real library.
package standin
