// Package archivetest has what the archive's ports are tested with: fakes in
// memory, and conformance suites that hold for the fakes and for the real
// adapters alike.
//
// The fakes police the rules instead of trusting their callers: they fail the
// test when a stored message changes, when a row does not fit its chain, when
// something refers to what is not durable yet. Linked in a [World] they check
// the order of writes across each other. Through [Faults] any call can be
// made to fail, before or after it took effect; [EveryFault] tries them all.
//
// Like the stores they stand for, they keep times in UTC and hand out copies.
package archivetest
