// Package sqsqueue sends the archive's requests through SQS FIFO queues, and
// reads them from the messages that Lambda delivers. In this package and in local/cloud
// a message is SQS's: it holds one request.
//
// One invocation at a time works on a message group, in order, and a message that
// fails delays the rest of its group. So a group never holds two corps (law 8).
// Pulls have one group per corp, because a corp has one head. Decodes have
// [archive.DecodeLanes] groups per corp, and one more for the corp's replays, so
// that a long replay delays no new page. Files have one group for each lane of a
// corp. Inspections have one group per corp.
//
// SQS drops a message whose deduplication id it has seen in the queue within the
// last 5 minutes, even if the first message is already done and deleted. So every
// request gets an id of its own. This package does not bound the number of a corp's
// requests: the marks of [archive.Wanted], and for pages [archive.PageRequests], do
// so before a request comes here.
package sqsqueue
