// Package archive holds the words and the contracts of the domain: what a
// corp, a page, a ledger row, a message, a consent and a trouble are, the
// gate that decides when a secret may be shown to WeCom, and the small
// interfaces that several rooms share.
//
// The algorithms are in the packages below it:
//
//   - pull takes pages from WeCom into the journal;
//   - decode turns pages into messages, again whenever asked, and verifies them;
//   - media downloads the files that messages name;
//   - directory asks WeCom for names, scope and consents;
//   - doctor tells from stored data which parts of a corp's set-up work;
//   - watch runs every minute, finds what was left behind, and measures.
//
// Nothing here knows AWS, a process or the network: storage, queues and
// WeCom's library are interfaces. The laws cited as "law 1" to "law 10" are
// numbered in DESIGN.md.
package archive
