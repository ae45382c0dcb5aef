// Package standin builds a stand-in for WeCom's closed finance library, for the
// local cloud and for tests.
//
// The stand-in is a shared object with the vendor's C interface
// (clib/libWeWorkFinanceSdk_C.c), loaded in the same way as the real library. It
// calls a simulated WeCom over plain HTTP. On request it crashes, hangs, leaks
// or prints, as the real library is known to do, or makes the attempts of a
// hostile library (clib/hostile.h). Nothing in functions/ or shared/ depends on
// this package, except tests.
package standin
