// Package archivetest tests the archive's ports: it has fakes in memory, and
// conformance suites for the fakes and the real adapters alike.
//
// The fakes police the rules in place of trusting their callers. They fail the
// test if a stored message changes, if a row does not fit its chain, or if an item
// refers to something that is not durable yet. Linked in a [World] they check the
// order of writes across each other. [Faults] can make any call fail, before or
// after it takes effect. [EveryFault] tries every call.
//
// Like the stores that they stand for, the fakes keep times in UTC and return
// copies.
package archivetest
