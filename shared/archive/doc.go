// Package archive is the domain: what a corp, a journal page, a ledger row, a
// message and a conversation are, and the algorithms that move messages from
// WeCom into the journal ([Puller]), from the journal into the view
// ([Decoder], [Replayer]) and that notice what was left behind
// ([Dispatcher]).
//
// It knows no AWS, no process and no network: storage, queues and WeCom's
// library are the small interfaces declared beside the algorithm that uses
// them. The laws cited as "law 1" to "law 10" are numbered in DESIGN.md.
package archive
